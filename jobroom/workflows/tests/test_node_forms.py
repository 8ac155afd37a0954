"""What a resume and a new run ask for: the inputs of the workflow and the fields of its nodes."""

import re

import pytest

from jobroom.arguments.encryption import seal
from jobroom.arguments.redaction import HIDDEN
from jobroom.workflows import input_changes, services
from jobroom.workflows.definitions import registry
from jobroom.workflows.exceptions import NotNow, WrongFields
from jobroom.workflows.graph import Graph, in_words
from jobroom.workflows.models import State
from jobroom.workflows.tests.stored import chain, store

pytestmark = pytest.mark.django_db

TEXT = """
name: two-steps
title: Two steps
payload:
  required: [first]
  properties:
    first: {type: number}
    second: {type: number, default: 2}
    then: {type: string, default: demo.add, enum: [demo.add, demo.mul]}
nodes:
  add_up: {task: demo.add, args: ["${payload.first}", 1]}
  multiply: {task: demo.mul, kwargs: {x: "${add_up.result}", y: "${payload.second}"}, needs: add_up}
"""


@pytest.fixture
def failed(staff):
    """Return a workflow of which the second step failed."""
    version = registry.keep(TEXT, origin="a test")
    workflow, payload = registry.build(version, {"first": 3})
    graph = Graph.loads(workflow.frozen().graph.dumps())
    return store(graph, "sf", state=State.FAILURE, name="two-steps", definition=version, payload=payload, owner=staff)


@pytest.fixture
def resumed(monkeypatch):
    """Return what the service was asked for."""
    asked = []

    def resume(stored, *, by, changes, inputs, again):
        asked.append((changes, inputs))
        return []

    monkeypatch.setattr(services, "resume", resume)
    return asked


def sent(text):
    """Return the form as a browser sends it when nothing is typed."""
    form = text[text.index('class="launch"') :]
    found = dict(re.findall(r'<input[^>]*name="([^"]+)"[^>]*?value="([^"]*)"', form))
    for name, inner in re.findall(r'<select name="([^"]+)"[^>]*>(.*?)</select>', form, re.DOTALL):
        chosen = re.search(r'<option value="([^"]*)" selected', inner)
        found[name] = chosen[1] if chosen else ""
    return {name: value for name, value in found.items() if name != "csrfmiddlewaretoken"}


def test_a_form_that_is_sent_as_it_is_changes_nothing(as_staff, failed, resumed):
    page = as_staff.get(f"/workflows/{failed.pk}/resume/").content.decode()
    fields = sent(page)
    assert {"input-first", "input-second", "node-1-y", "node-1-shown"} <= fields.keys()
    assert as_staff.post(f"/workflows/{failed.pk}/resume/", fields).status_code == 303
    assert resumed == [({}, {})]


def test_the_page_speaks_of_titles_and_of_results_and_shows_no_json(as_staff, failed):
    page = as_staff.get(f"/workflows/{failed.pk}/resume/").content.decode()
    assert "<h1>Resume Two steps</h1>" in page
    assert '<legend>Multiply <code class="task-name">demo.mul</code></legend>' in page
    assert "the result of “Add up”" in page
    assert "$node" not in page
    assert "a JSON" not in page


def test_a_field_that_is_empty_keeps_the_result_and_another_is_changed(as_staff, failed, resumed):
    fields = sent(as_staff.get(f"/workflows/{failed.pk}/resume/").content.decode())
    as_staff.post(f"/workflows/{failed.pk}/resume/", {**fields, "node-1-y": "7"})
    assert resumed[-1] == ({"multiply": {"args": [], "kwargs": {"x": {"$node": 0}, "y": 7}}}, {})
    as_staff.post(f"/workflows/{failed.pk}/resume/", {**fields, "node-1-x": "5"})
    assert resumed[-1][0]["multiply"]["kwargs"] == {"x": 5, "y": 2}


def test_a_result_that_was_written_over_comes_back_when_the_field_is_emptied(as_staff, failed, resumed):
    graph = failed.read_graph()
    graph.nodes[1].kwargs = {"x": 5, "y": 2}
    failed.graph = graph.dumps()
    failed.save()
    page = as_staff.get(f"/workflows/{failed.pk}/resume/").content.decode()
    assert "Left empty it is the result of “Add up”" in page
    as_staff.post(f"/workflows/{failed.pk}/resume/", {**sent(page), "node-1-x": ""})
    assert resumed[-1][0]["multiply"]["kwargs"] == {"x": {"$node": 0}, "y": 2}


def test_wrong_answers_are_all_shown_at_their_fields_and_stay(as_staff, failed, resumed):
    fields = sent(as_staff.get(f"/workflows/{failed.pk}/resume/").content.decode())
    answer = as_staff.post(f"/workflows/{failed.pk}/resume/", {**fields, "input-first": "", "node-1-y": "many"})
    text = answer.content.decode()
    assert answer.status_code == 422
    assert resumed == []
    assert text.count('class="error-line"') == 2
    assert 'value="many"' in text


def test_another_input_reaches_the_steps_that_are_given_it(as_staff, failed, resumed):
    fields = sent(as_staff.get(f"/workflows/{failed.pk}/resume/").content.decode())
    as_staff.post(f"/workflows/{failed.pk}/resume/", {**fields, "input-second": "9"})
    assert resumed[-1] == ({}, {"second": 9.0})
    changes, payload = input_changes.applied(failed, failed.read_graph(), {}, {"second": 9}, None)
    assert changes == {"multiply": {"args": [], "kwargs": {"x": {"$node": 0}, "y": 9}}}
    assert payload == {"first": 3, "second": 9, "then": "demo.add"}


def test_an_input_and_a_field_of_one_step_are_both_taken(as_staff, failed, resumed):
    fields = sent(as_staff.get(f"/workflows/{failed.pk}/resume/").content.decode())
    as_staff.post(f"/workflows/{failed.pk}/resume/", {**fields, "input-second": "9", "node-1-x": "5"})
    assert resumed[-1][0]["multiply"]["kwargs"] == {"x": 5, "y": 9}


def test_a_resume_with_another_input_runs_what_is_given_it_again(failed, staff, django_capture_on_commit_callbacks):
    again = services.resume(failed, by=staff, inputs={"first": 4})
    assert [node.key for node in again] == ["add_up", "multiply"]
    failed.refresh_from_db()
    assert failed.payload == {"first": 4, "second": 2, "then": "demo.add"}
    assert failed.read_graph().nodes[0].args == [4, 1]
    assert failed.node_states == "ww"


def test_what_was_changed_at_a_step_before_and_its_secrets_stay(failed):
    graph = failed.read_graph()
    graph.nodes[0].args = [seal("s3cret"), 1]
    graph.nodes[1].kwargs["x"] = 5
    changes, _ = input_changes.applied(failed, graph, {}, {"second": 9}, None)
    assert changes == {"multiply": {"args": [], "kwargs": {"x": 5, "y": 9}}}


def test_inputs_are_checked_as_those_of_a_launch(failed):
    with pytest.raises(WrongFields) as wrong:
        input_changes.applied(failed, failed.read_graph(), {}, {"first": "many", "frist": 1}, None)
    assert wrong.value.errors.keys() == {"first", "frist"}


def test_a_workflow_without_a_definition_has_no_inputs(staff):
    stored = store(chain(1), "f", state=State.FAILURE)
    with pytest.raises(NotNow, match="not launched from a definition"):
        services.resume(stored, by=staff, inputs={"x": 1})


def test_a_hidden_input_stays_unless_it_is_written_again(as_staff, failed, resumed):
    failed.payload = {**failed.payload, "first": HIDDEN}
    failed.save()
    page = as_staff.get(f"/workflows/{failed.pk}/resume/").content.decode()
    assert HIDDEN not in page
    as_staff.post(f"/workflows/{failed.pk}/resume/", sent(page))
    assert resumed == [({}, {})]


@pytest.mark.parametrize(
    ("key", "title"),
    [("make_thumbnails", "Make thumbnails"), ("check-2", "Check 2"), ("k0", "k0"), ("Report", "Report"),
     ("jobs.add", "jobs.add"), ("550e8400-e29b", "550e8400-e29b"), ("2 pages", "2 pages")],
)  # fmt: skip
def test_keys_are_read_as_titles_where_they_are_words(key, title):
    assert in_words(key) == title

"""The list of definitions and their launch pages."""

import pytest
from django.contrib.auth.models import Group, User

from jobroom.testing import transactions
from jobroom.workflows import admission
from jobroom.workflows.definitions import registry
from jobroom.workflows.forms import PayloadForm
from jobroom.workflows.models import Definition, StoredWorkflow

pytestmark = pytest.mark.django_db(transaction=True)

TEXT = """
name: sums
title: Sums
description: Adds **numbers**.
payload:
  required: [a]
  properties:
    a: {type: integer, title: First, minimum: 1}
    b: {type: number, default: 2}
    how: {enum: [fast, slow], default: fast}
    rows: {type: array, items: {type: integer}, default: [1, 2]}
    sure: {type: boolean, default: false}
nodes:
  add: {task: demo.add, args: ["${payload.a}", "${payload.b}"]}
"""


@pytest.fixture
def sums(db):
    return registry.keep(TEXT, origin="a test").definition


@pytest.fixture
def person(client):
    user = User.objects.create_user("ada", password="x")
    client.force_login(user)
    return user


@pytest.fixture
def staff(client):
    user = User.objects.create_user("root", password="x", is_staff=True)
    client.force_login(user)
    return user


def test_the_form_has_a_field_for_each_part_and_the_defaults(client, staff, sums):
    page = client.get(sums.get_absolute_url()).content.decode()
    assert 'name="a"' in page
    assert "<strong>numbers</strong>" in page
    assert 'value="2"' in page
    assert "[" in page.partition('name="rows"')[2][:400]
    assert 'First <span class="needed">needed</span>' in page
    assert page.count('class="needed"') == 1


def test_the_address_fills_fields_in(client, staff, sums):
    assert 'value="41"' in client.get(f"{sums.get_absolute_url()}?a=41").content.decode()


def test_a_launch_keeps_payload_version_and_owner(client, staff, sums):
    answer = client.post(sums.get_absolute_url(), {"a": "3", "b": "", "how": "slow", "rows": "[5]", "note": "why"})
    stored = StoredWorkflow.objects.get()
    assert (answer.status_code, answer["Location"]) == (303, stored.get_absolute_url())
    assert stored.payload == {"a": 3, "b": 2, "how": "slow", "rows": [5], "sure": False}
    assert (stored.owner, stored.note, stored.source, stored.definition.number) == (staff, "why", "page", 1)


def test_others_may_write_while_a_launch_is_planned(client, staff, sums, monkeypatch):
    planned = transactions.noted(monkeypatch, admission, "check_graph")
    assert client.post(sums.get_absolute_url(), {"a": "3"}).status_code == 303
    assert planned == [False]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"a": ""}, "This field is needed."),
        ({"a": "0"}, "0 is too small; the least is 1."),
        ({"a": "many"}, "Give a whole number."),
        ({"a": "1", "b": "nan"}, "Give a number."),
        ({"a": "1", "rows": "[1,"}, "This is not JSON"),
        ({"a": "1", "rows": '["x"]'}, "At 0: “x” is not a whole number."),
        ({"a": "1", "how": "never"}, "“never” is none of fast, slow."),
    ],
)
def test_nonsense_is_reported_at_its_field_and_launches_nothing(client, staff, sums, given, words):
    answer = client.post(sums.get_absolute_url(), given)
    assert answer.status_code == 400
    assert words in answer.content.decode()
    assert not StoredWorkflow.objects.exists()


def test_a_payload_is_shown_as_the_arguments_of_a_task_are(staff):
    """Dates have a date's field, a choice without a default may be left open, and a secret is not shown."""
    schema = {
        "required": ["day"],
        "properties": {
            "day": {"type": "string", "format": "date"},
            "at": {"type": ["string", "null"], "format": "date-time"},
            "how": {"enum": [1, "fast"]},
            "password": {"type": "string"},
            "more": {"type": "object", "default": {"ä": 1}},
            "any": True,
        },
    }
    form = PayloadForm(schema, staff, initial={"at": "2026-11-29T08:00:30Z", "note": "why"})
    kinds = {name: getattr(form[name].field.widget, "input_type", "area") for name in form.fields}
    assert kinds == {
        "day": "date", "at": "datetime-local", "how": "select", "password": "password", "more": "area", "any": "text",
        "note": "text",
    }  # fmt: skip
    assert [form["note"].value(), form["more"].value()] == ["why", '{\n  "ä": 1\n}']
    assert [value for value, _ in form.fields["how"].widget.choices] == ["", "1", "fast"]
    sent = {"day": "2026-11-29", "at": "2026-11-29T08:00", "how": "1", "password": "", "more": "[", "any": "x"}
    form = PayloadForm(schema, staff, sent)
    assert list(form.errors) == ["more"]
    assert form.payload == {"day": "2026-11-29", "at": "2026-11-29T08:00:00+00:00", "how": 1, "any": "x"}


def test_only_rows_that_one_may_see_are_offered_and_taken(staff):
    """A model that does not say who may see its rows is for staff alone."""
    schema = {"properties": {"group": {"type": "integer", "x-model": "auth.Group"}}}
    group = Group.objects.create(name="herders")
    form = PayloadForm(schema, staff, {"group": str(group.pk)})
    assert form.is_valid(), form.errors
    assert form.payload == {"group": group.pk}
    assert f"herders ({group.pk})" in str(form["group"])
    assert PayloadForm(schema, staff, {"group": "77"}).errors == {
        "group": ["There is no group '77'. Choose one of the list."]
    }
    stranger = User.objects.create_user("eve")
    form = PayloadForm(schema, stranger, {"group": str(group.pk)})
    assert list(form.errors) == ["group"]
    assert "herders" not in str(form["group"])


def test_it_is_closed_until_the_admin_opens_it_to_a_group(client, person, sums):
    address = sums.get_absolute_url()
    assert client.get(address).status_code == client.post(address, {"a": 1}).status_code == 404
    assert "No workflow is open to you" in client.get("/workflows/definitions/").content.decode()
    group = Group.objects.create(name="sums")
    person.groups.add(group)
    sums.launch.add(group)
    assert client.post(address, {"a": 1}).status_code == 303
    assert "Sums" in client.get("/workflows/definitions/").content.decode()
    Definition.objects.update(enabled=False)
    assert client.get(address).status_code == 404


def test_a_definition_that_cannot_be_read_any_more_says_why(client, staff, sums):
    sums.versions.update(source="name: sums\nnodes: 3\n")
    answer = client.get(sums.get_absolute_url())
    assert answer.status_code == 409
    assert "Line 2" in answer.content.decode()


def test_a_preview_draws_what_would_run_and_starts_nothing(client, staff, sums):
    answer = client.post(sums.get_absolute_url(), {"a": "3", "how": "slow", "preview": "1"})
    page = answer.content.decode()
    assert answer.status_code == 200
    assert "A launch would start 1 node. Nothing has been started." in page
    assert '<svg class="graph"' in page
    assert "kind-task state-waiting" in page
    assert "?tab=nodes" not in page
    assert 'value="3"' in page, "what was given stays in the form"
    assert not StoredWorkflow.objects.exists()


def test_a_preview_says_what_a_launch_would_refuse(client, staff, sums):
    answer = client.post(sums.get_absolute_url(), {"a": "0", "preview": "1"})
    assert answer.status_code == 400
    assert "the least is 1" in answer.content.decode()
    assert '<svg class="graph"' not in answer.content.decode()


def test_a_preview_is_for_those_who_may_launch(client, person, sums):
    assert client.post(sums.get_absolute_url(), {"a": "1", "preview": "1"}).status_code == 404


def test_the_preview_of_a_large_graph_is_bundled_and_names_all_nodes(client, staff):
    nodes = "\n".join(f"  n{number}: {{task: demo.add, args: [1, 2]}}" for number in range(1600))
    large = registry.keep(f"name: large\nnodes:\n{nodes}\n", origin="a test").definition
    page = client.post(large.get_absolute_url(), {"preview": "1"}).content.decode()
    assert "A launch would start 1600 nodes." in page
    assert "too large to draw each node" in page

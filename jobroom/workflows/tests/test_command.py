"""`manage.py workflow`: what it writes, how it exits, and nonsense; following to the end is an acceptance test."""

import json

import pytest
from django.core.management import CommandError, call_command
from django.test import TestCase

from jobroom.testing import transactions
from jobroom.workflows import arrivals
from jobroom.workflows.commands import workflow
from jobroom.workflows.definitions import registry
from jobroom.workflows.models import Definition, State, StoredWorkflow
from jobroom.workflows.tests.hand import Hand, new_workflow, signature
from jobroom.workflows.tests.stored import SUMS, chain, store

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("no_definitions")]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "sums.yaml"
    path.write_text(SUMS)
    return str(path)


@pytest.fixture
def run(capsys):
    def call(*words):
        with TestCase.captureOnCommitCallbacks(execute=True):
            call_command("workflow", *words)
        return capsys.readouterr().out

    return call


def refused(*words):
    """Return how the command exits, and what it says."""
    with pytest.raises(CommandError) as caught:
        call_command("workflow", *words)
    message = str(caught.value)
    assert "Traceback" not in message
    return caught.value.returncode, message


def two(owner=None):
    """Begin two nodes one after the other."""
    workflow = new_workflow()
    first = workflow.add_signature(signature(), key="first")
    workflow.add_signature(signature(), [first], key="second")
    return Hand(workflow, owner=owner)


# --- run -------------------------------------------------------------------------------------------------------------


def test_run_launches_a_file(run, file):
    said = run("run", file, "--set", "a=3", "--payload", '{"b": 1.5}', "--note", "why")
    stored = StoredWorkflow.objects.get()
    assert f"Workflow {stored.pk} is launched. `manage.py jobroom workflow show {stored.pk}` shows more." in said
    assert (stored.payload, stored.source, stored.owner, stored.note) == ({"a": 3, "b": 1.5}, "command", None, "why")


def test_others_may_write_while_a_file_is_read(run, file, monkeypatch):
    read = transactions.noted(monkeypatch, workflow, "_text")
    run("run", file, "--set", "a=3")
    assert read == [False]


def test_run_launches_by_name_in_the_name_of_a_person(run, file, staff):
    run("load", file)
    shown = json.loads(run("run", "sums", "--set", "a=3", "--json", "--as", "grace"))
    stored = StoredWorkflow.objects.get()
    assert (shown["id"], shown["owner"], shown["nodes"][0]["state"]) == (stored.pk, "grace", "waiting")
    assert stored.definition.number == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("sums",), "There is no workflow called “sums”. There are: none yet."),
        (("/nowhere/sums.yaml",), "/nowhere/sums.yaml cannot be read"),
        (("FILE",), "a: “a” is missing."),
        (("FILE", "--set", "a=x"), "a: “x” is not a whole number."),
        (("FILE", "--set", "a=0", "--set", "c=1"), "c: There is no such field."),
        (("FILE", "--set", "a"), "--set a is not NAME=VALUE."),
        (("FILE", "--payload", "{"), "--payload is not JSON"),
        (("FILE", "--payload", "[]"), "--payload is a JSON object"),
        (("FILE", "--payload", '{"a": NaN}'), "a: A number is too large, or is none (NaN)."),
        (("FILE", "--payload", '{"a": "\\u0000"}'), "a: A text contains U+0000"),
        (("FILE", "--set", "a=1", "--as", "nobody"), "There is no active user called “nobody”."),
        (("FILE", "--set", "a=1", "--as", "ada"), "Only staff may launch a graph of their own"),
    ],
)
def test_nonsense_launches_nothing(file, ada, words, said):
    code, message = refused("run", *(file if word == "FILE" else word for word in words))
    assert (code, said in message) == (2, True), message
    assert not StoredWorkflow.objects.exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"name: x\nnodes: 3\n", "Line 2, column 1: `nodes`: “3” is not an object (names with values)."),
        (b"", "Line 1, column 1: There is nothing in it."),
        (b"name: \xff\xfe", "cannot be read"),
    ],
)
@pytest.mark.parametrize("action", ["run", "check", "load"])
def test_a_bad_file_is_reported_in_one_sentence(tmp_path, action, content, said):
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    code, message = refused(action, str(path))
    assert (code, said in message) == (2, True), message
    assert "\n" not in message


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("dance",),
        ("run",),
        ("show",),
        ("cancel",),
        ("decide", "x"),
        ("decide", "x", "y", "perhaps"),
        ("list", "--state", "x"),
    ],
)
def test_wrong_usage_exits_with_2(words):
    with pytest.raises((CommandError, SystemExit)) as caught:
        call_command("workflow", *words)
    assert getattr(caught.value, "returncode", getattr(caught.value, "code", None)) in {1, 2}


# --- one workflow ----------------------------------------------------------------------------------------------------


def test_show_names_every_node_and_the_beginning_of_an_id_is_enough(run):
    stored = store(chain(3), "sfb", state=State.FAILURE, name="nightly", error="it broke")
    text = run("show", stored.pk[:8])
    assert f"Failed: nightly  {stored.pk}" in text
    assert [line.split()[:2] for line in text.splitlines()[1:]] == [
        ["error", "it"],
        ["succeeded", "k0"],
        ["failed", "k1"],
        ["blocked", "k2"],
    ]
    assert json.loads(run("show", stored.pk, "--json"))["nodes"][1]["state"] == "failed"


@pytest.mark.parametrize("action", ["show", "cancel", "pause", "unpause", "resume"])
def test_an_id_that_no_one_or_more_than_one_has(action):
    for number in range(2):
        stored = store(chain(1), "r", id=f"same-{number}")
    assert refused(action, "nothing") == (2, "There is no workflow nothing.")
    assert refused(action, "sam") == (2, "There is no workflow sam.")
    assert refused(action, "same-") == (2, "More than one begins with same-.")
    assert refused(action, "") == (2, "There is no workflow .")
    assert refused(action, "a\x00b")[0] == 2
    stored.refresh_from_db()
    assert stored.state == State.RUNNING


def test_cancel_pause_and_unpause(run):
    hand = two()
    assert run("pause", hand.id) == "No more nodes are started; those that run continue.\n"
    assert refused("pause", hand.id) == (2, "It can be paused only while it runs. It is paused.")
    assert json.loads(run("unpause", hand.id, "--json")) == {"id": hand.id, "detail": "It goes on."}
    assert refused("unpause", hand.id)[1].startswith("It is not paused.")
    assert run("cancel", hand.id) == "1 node will not be started; 1 queued job will not start.\n"
    assert refused("resume", hand.id)[1] == "Only a workflow that failed can be resumed. It is running."
    assert (hand.stored().cancel_by, hand.stored().state) == ("the command line", State.CANCELLED)
    assert refused("cancel", hand.id)[1] == "It has ended already: cancelled."


def test_resume_runs_the_failed_node_again(run):
    hand = two()
    hand.take_one().whole()
    hand.take_one().whole("failed")
    hand.record()
    assert run("resume", hand.id) == "Goes on at second.\n"
    hand.take_one().whole()
    assert hand.stored().state == State.SUCCESS
    assert refused("resume", hand.id)[1].endswith("It is succeeded.")
    assert refused("cancel", hand.id) == (2, "It has ended already: succeeded.")


def test_resume_is_given_other_arguments_and_what_is_done(run):
    hand = two()
    hand.take_one().whole("failed")
    hand.record()
    assert refused("resume", hand.id, "--change", "first={")[1].startswith("--change first: { is not JSON")
    assert refused("resume", hand.id, "--change", "first=[1]")[1].startswith("--change first is given a JSON object")
    assert "There is no node “third”" in refused("resume", hand.id, "--change", "third={}")[1]
    assert refused("resume", hand.id, "--done", "third")[1] == "There is no node third with a job."
    run("resume", hand.id, "--done", "first=5", "--change", 'second={"args": [7]}')
    again = hand.take_one()
    assert (again.index, again.args) == (1, [7])


def test_what_is_someone_elses_does_not_exist_for_a_person(run, staff, ada):
    hand = two(staff)
    for action in ("show", "cancel", "pause", "unpause", "resume"):
        assert refused(action, hand.id, "--as", "ada") == (2, f"There is no workflow {hand.id}.")
    assert refused("decide", hand.id, "first", "approve", "--as", "ada") == (2, f"There is no workflow {hand.id}.")
    assert hand.id not in run("list", "--as", "ada")
    assert hand.stored().state == State.RUNNING
    assert hand.id in run("list", "--as", "grace")


def test_decide(run, staff, monkeypatch):
    read = transactions.noted(monkeypatch, arrivals, "wanted")
    workflow = new_workflow()
    asked = workflow.add_approval("ok")
    workflow.add_signature(signature(), [asked], key="last")
    hand = Hand(workflow, owner=staff)
    hand.record()
    assert refused("decide", hand.id, "nope", "approve") == (2, "The workflow has no node “nope”.")
    assert refused("decide", hand.id, "last", "approve") == (2, "“last” is no approval.")
    assert run("decide", hand.id, "ok", "approve", "--comment", "fine", "--as", "grace") == "It is decided.\n"
    assert refused("decide", hand.id, "ok", "deny")[1].startswith("No one waits for this")
    assert hand.stored().decisions["0"]["comment"] == "fine"
    assert read
    assert not any(read), "others may write while the graph is read"


# --- many ------------------------------------------------------------------------------------------------------------


def test_list(run):
    assert "There is no workflow yet." in run("list")
    stored = store(chain(3), "sfb", state=State.FAILURE, name="nightly")
    assert f"{stored.pk}  Failed" in run("list")
    assert stored.pk not in run("list", "--state", "RUNNING")
    (row,) = json.loads(run("list", "--json"))
    assert (row["id"], row["state"], row["total"]) == (stored.pk, "FAILURE", 3)


def test_definitions_are_checked_loaded_and_listed(run, file):
    assert run("definitions") == "There is none yet.\n"
    assert run("check", file) == "“sums” is right: 1 nodes.\n"
    assert not Definition.objects.exists()
    assert run("load", file) == "“sums” is kept as version 1.\n"
    assert run("definitions").split() == ["sums", "Sums"]
    assert json.loads(run("definitions", "--json")) == [{"name": "sums", "title": "Sums"}]
    assert registry.newest("sums").origin == "sums.yaml"


def test_who_is_no_staff_loads_nothing(file, ada):
    assert refused("load", file, "--as", "ada")[0] == 2
    assert not Definition.objects.exists()

"""The REST API of workflows: rights, wrong input, and what each address answers."""

import json

import pytest
from django.contrib.auth.models import Group
from django.test import TestCase

from jobroom.jobs import limits
from jobroom.jobs.models import Job
from jobroom.testing import transactions
from jobroom.workflows import admission
from jobroom.workflows.definitions import registry
from jobroom.workflows.engine.keys import NodeState
from jobroom.workflows.graph import Kind
from jobroom.workflows.models import Definition, State, StoredWorkflow
from jobroom.workflows.tests.hand import Hand, new_workflow, signature
from jobroom.workflows.tests.stored import SUMS, chain, node, store

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("no_definitions")]


@pytest.fixture
def sums():
    return registry.keep(SUMS, origin="a test").definition


def post(client, address, data=None, **headers):
    with TestCase.captureOnCommitCallbacks(execute=True):
        return client.post(f"/api/workflows/{address}", json.dumps(data or {}), "application/json", headers=headers)


def problem(response, status):
    """Return the problem that the answer is."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    return json.loads(response.content)


def two(owner=None):
    """Begin two nodes one after the other."""
    workflow = new_workflow()
    first = workflow.add_signature(signature(), key="first")
    workflow.add_signature(signature(), [first], key="second")
    return Hand(workflow, owner=owner)


def approval(groups=()):
    """Return a workflow that waits for a person."""
    graph = chain(2)
    graph.nodes[0].kind, graph.nodes[0].task = Kind.APPROVAL, ""
    graph.nodes[0].options = {"groups": list(groups)}
    return graph


# --- who may ---------------------------------------------------------------------------------------------------------

ACTIONS = ["cancel/", "pause/", "unpause/", "resume/", "rerun/", "nodes/k0/decision/"]


def test_strangers_learn_nothing(client, sums):
    stored = store(chain(2), "rw")
    for path in ("", f"{stored.pk}/", "definitions/", "definitions/sums/"):
        problem(client.get(f"/api/workflows/{path}"), 401)
    for path in ("", "definitions/", *(f"{stored.pk}/{action}" for action in ACTIONS)):
        problem(post(client, path, {"definition": "sums"}), 401)
    assert StoredWorkflow.objects.count() == 1


def test_a_second_person_sees_nothing(as_ada, staff, sums):
    stored = store(chain(2), "rw", owner=staff)
    unowned = store(chain(2), "rw")
    assert as_ada.get("/api/workflows/").json() == {"next": None, "results": []}
    for pk in (stored.pk, "nonsense"):
        assert list(problem(as_ada.get(f"/api/workflows/?before={pk}"), 400)["errors"]) == ["before"]
    for pk in (stored.pk, unowned.pk, "nonsense", "a" * 200, "%00"):
        assert problem(as_ada.get(f"/api/workflows/{pk}/"), 404)["status"] == 404
        for action in ACTIONS:
            problem(post(as_ada, f"{pk}/{action}", {"approve": True}), 404)
    stored.refresh_from_db()
    assert (stored.state, stored.cancel_at, stored.decisions) == (State.RUNNING, None, {})


def test_who_may_launch_nothing_learns_no_names(as_ada, sums):
    assert as_ada.get("/api/workflows/definitions/").json() == []
    problem(as_ada.get("/api/workflows/definitions/sums/"), 404)
    assert "Ask an administrator" in problem(post(as_ada, "", {"definition": "sums"}), 403)["detail"]
    hidden, none = (problem(post(as_ada, "", {"definition": name}), 403) for name in ("sums", "sun"))
    assert hidden["detail"] == none["detail"].replace("sun", "sums")
    assert "Only staff" in problem(post(as_ada, "", {"text": SUMS, "payload": {"a": 1}}), 403)["detail"]
    assert "Only staff" in problem(post(as_ada, "definitions/", {"text": SUMS}), 403)["detail"]
    assert not StoredWorkflow.objects.exists()


def test_a_group_may_launch_what_it_was_given_and_its_members_see_their_own(as_ada, ada, staff, sums):
    group = Group.objects.create(name="adders")
    ada.groups.add(group)
    sums.launch.add(group)
    assert [row["name"] for row in as_ada.get("/api/workflows/definitions/").json()] == ["sums"]
    made = post(as_ada, "", {"definition": "sums", "payload": {"a": 1}})
    assert made.status_code == 201
    store(chain(1), "r", owner=staff)
    assert [row["id"] for row in as_ada.get("/api/workflows/").json()["results"]] == [made.json()["id"]]
    Definition.objects.update(enabled=False)
    problem(post(as_ada, "", {"definition": "sums", "payload": {"a": 1}}), 403)


# --- launch ----------------------------------------------------------------------------------------------------------


def test_a_launch_answers_where_it_is(as_staff, staff, sums):
    made = post(as_staff, "", {"definition": "sums", "payload": {"a": 3}, "note": "why"})
    row = made.json()
    assert (made.status_code, made["Location"]) == (201, row["url"])
    stored = StoredWorkflow.objects.get(pk=row["id"])
    assert (stored.owner, stored.source, stored.note, stored.payload) == (staff, "api", "why", {"a": 3, "b": 2})
    shown = as_staff.get(row["url"]).json()
    assert (shown["definition"], shown["version"], shown["state"]) == ("sums", 1, "RUNNING")
    assert [(found["key"], found["state"], found["job"]) for found in shown["nodes"]] == [
        ("add", "queued", stored.read_graph().nodes[0].id)
    ]


def test_a_text_is_launched_without_being_kept(as_staff):
    made = post(as_staff, "", {"text": SUMS, "payload": {"a": 1}})
    assert (made.status_code, made.json()["name"], made.json()["definition"]) == (201, "sums", None)
    assert not Definition.objects.exists()


@pytest.mark.parametrize("asked", [{"definition": "sums"}, {"text": SUMS}])
def test_others_may_write_while_a_launch_is_planned(as_staff, sums, monkeypatch, asked):
    allowed = transactions.noted(monkeypatch, limits, "allow_launch")
    planned = transactions.noted(monkeypatch, admission, "check_graph")
    assert post(as_staff, "", {**asked, "payload": {"a": 3}}).status_code == 201
    assert (allowed, planned) == ([False], [False])


def test_others_may_write_while_a_definition_is_read(as_staff, monkeypatch):
    read = transactions.noted(monkeypatch, registry.Recipe, "check")
    assert post(as_staff, "definitions/", {"text": SUMS}).status_code == 201
    assert read
    assert not any(read)


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({}, {"definition": ["Name a definition, or give one in YAML as `text`."]}),
        ({"definition": "sums", "text": SUMS}, {"definition": ["Name a definition, or give one in YAML as `text`."]}),
        ({"definition": "sum"}, {"definition": ["There is no workflow called “sum”. There are: sums."]}),
        ({"definition": "sums"}, {"a": ["“a” is missing."]}),
        ({"definition": "sums", "payload": {"a": "x"}}, {"a": ["“x” is not a whole number."]}),
        ({"definition": "sums", "payload": {"a": 1, "c": 1}}, {"c": ["There is no such field."]}),
        ({"definition": "sums", "payload": []}, {"payload": ['Expected a dictionary of items but got type "list".']}),
        ({"definition": "sums", "version": 9}, {"version": ["“sums” has no version 9. The newest is 1."]}),
        ({"definition": "sums", "version": "x"}, {"version": ["A valid integer is required."]}),
        (
            {"text": "name: x\nnodes: 3"},
            {"text": ["Line 2, column 1: `nodes`: “3” is not an object (names with values)."]},
        ),
        ({"text": "name: x\nnodes: {a: {task: nope}}"}, None),
    ],
)
def test_nonsense_launches_nothing_and_names_the_field(as_staff, sums, body, errors):
    found = problem(post(as_staff, "", body), 400)
    if errors is not None:
        assert found["errors"] == errors
    else:
        assert "Node “a”: there is no task called “nope” here." in found["errors"]["text"][0]
    assert not StoredWorkflow.objects.exists()


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b'{"definition": "a\\u0000"}', b'{"payload": {"a": NaN}}'])
def test_a_body_that_is_no_launch_is_refused(as_staff, body):
    problem(as_staff.post("/api/workflows/", body, "application/json"), 400)


# --- list and show ---------------------------------------------------------------------------------------------------


def test_the_list_goes_on_where_the_page_ends_and_filters(as_staff):
    made = [store(chain(1), "s", state=State.SUCCESS, name=f"w{number % 2}").pk for number in range(53)]
    first = as_staff.get("/api/workflows/").json()
    second = as_staff.get(first["next"]).json()
    assert [row["id"] for row in (*first["results"], *second["results"])] == made[::-1]
    assert second["next"] is None
    assert {row["name"] for row in as_staff.get("/api/workflows/?name=w1").json()["results"]} == {"w1"}
    assert as_staff.get("/api/workflows/?state=RUNNING").json()["results"] == []
    assert "state" in problem(as_staff.get("/api/workflows/?state=running"), 400)["errors"]
    assert "before" in problem(as_staff.get("/api/workflows/?before=nonsense"), 400)["errors"]


def test_the_next_page_is_there_when_the_last_workflow_of_a_page_has_gone_on_or_is_gone(as_staff):
    made = [store(chain(1), "s", state=State.RUNNING).pk for _ in range(53)]
    first = as_staff.get("/api/workflows/?state=RUNNING").json()
    assert first["results"][-1]["id"] == made[3]
    StoredWorkflow.objects.filter(pk=made[3]).update(state=State.SUCCESS)
    assert [row["id"] for row in as_staff.get(first["next"]).json()["results"]] == made[2::-1]
    StoredWorkflow.objects.filter(pk=made[3]).delete()
    assert [row["id"] for row in as_staff.get(first["next"]).json()["results"]] == made[2::-1]


def test_a_workflow_is_shown_with_its_nodes(as_staff):
    graph = chain(2)
    graph.nodes.append(node(2, 0, kind=Kind.APPROVAL, task=""))
    shown = as_staff.get(f"/api/workflows/{store(graph, 'sra').pk}/").json()
    assert [(n["key"], n["kind"], n["state"], n["needs"]) for n in shown["nodes"]] == [
        ("k0", "task", "succeeded", []),
        ("k1", "task", "running", ["k0"]),
        ("k2", "approval", "approval", ["k0"]),
    ]
    assert shown["counts"] == {"succeeded": 1, "running": 1, "approval": 1}


# --- actions ---------------------------------------------------------------------------------------------------------


def test_pause_and_go_on(as_ada, ada):
    hand = two(ada)
    run = hand.take_one()
    answer = post(as_ada, f"{hand.id}/pause/")
    assert (answer.status_code, answer.json()["state"]) == (200, "PAUSED")
    run.whole()
    assert hand.node_states()["1"] == NodeState.HELD
    assert "It is paused" in problem(post(as_ada, f"{hand.id}/pause/"), 409)["detail"]
    assert post(as_ada, f"{hand.id}/unpause/").json()["state"] == "RUNNING"
    assert "It is not paused" in problem(post(as_ada, f"{hand.id}/unpause/"), 409)["detail"]
    hand.take_one().whole()
    assert hand.stored().state == State.SUCCESS


def test_cancel_says_what_that_meant(as_ada, ada):
    hand = two(ada)
    assert (
        post(as_ada, f"{hand.id}/cancel/").json()["detail"]
        == "1 node will not be started; 1 queued job will not start."
    )
    run = hand.take_one()
    assert "ada" in str(run.start())
    run.end("cancelled")
    assert hand.stored().state == State.CANCELLED
    assert "It has ended already: cancelled" in problem(post(as_ada, f"{hand.id}/cancel/"), 409)["detail"]


def test_resume_with_other_arguments_runs_only_what_follows(as_ada, ada):
    hand = two(ada)
    hand.take_one().whole()
    hand.take_one().whole("failed")
    hand.record()
    answer = post(as_ada, f"{hand.id}/resume/", {"changes": {"second": {"args": [7]}}})
    assert (answer.status_code, answer.json()["detail"]) == (200, "Goes on at second.")
    run = hand.take_one()
    assert (run.index, run.args) == (1, [7])
    assert "It is running" in problem(post(as_ada, f"{hand.id}/resume/"), 409)["detail"]


@pytest.mark.parametrize(
    ("changes", "status", "said"),
    [
        ({"third": {}}, 409, "There is no node “third” with arguments. There are: first, second."),
        ({"second": {"arg": []}}, 409, "Of node “second” only args and kwargs can be changed, not arg."),
        ({"second": {"args": {}}}, 409, "Of node “second” args must be a JSON list and kwargs a JSON object."),
        ({"second": []}, 400, "changes"),
        ([], 400, "changes"),
    ],
)
@pytest.mark.parametrize("action", ["resume", "rerun"])
def test_nonsense_in_changes_changes_nothing(as_ada, ada, action, changes, status, said):
    hand = two(ada)
    hand.take_one().whole("failed")
    hand.record()
    found = problem(post(as_ada, f"{hand.id}/{action}/", {"changes": changes}), status)
    assert said in (found["detail"] if status == 409 else found["errors"])
    assert hand.stored().state == State.FAILURE
    assert StoredWorkflow.objects.count() == 1
    assert not hand.take()


def test_rerun_makes_a_new_workflow_of_the_same_graph(as_ada, ada):
    hand = two(ada)
    answer = post(
        as_ada, f"{hand.id}/rerun/", {"changes": {"first": {"args": [1], "kwargs": {"a": 2}}}, "note": "again"}
    )
    new = StoredWorkflow.objects.exclude(pk=hand.id).get()
    assert answer.json()["detail"] == f"Runs again as {new.pk}."
    assert (new.rerun_of_id, new.owner, new.note, new.source) == (hand.id, ada, "again", "api")
    old, first = hand.take()
    assert (old.args, first.args, first.kwargs) == ([], [1], {"a": 2})
    assert not set(Job.objects.filter(workflow_id=new.pk)) & set(Job.objects.filter(workflow_id=hand.id))


def test_an_approval_is_decided_by_its_group_which_learns_no_more(as_ada, ada, staff):
    workflow = new_workflow()
    asked = workflow.add_approval("ok", groups=["editors"])
    workflow.add_signature(signature(), [asked], key="last")
    hand = Hand(workflow, owner=staff)
    hand.record()
    problem(post(as_ada, f"{hand.id}/nodes/ok/decision/", {"approve": True}), 404)
    ada.groups.add(Group.objects.create(name="editors"))
    assert "approve" in problem(post(as_ada, f"{hand.id}/nodes/ok/decision/", {}), 400)["errors"]
    problem(post(as_ada, f"{hand.id}/nodes/nope/decision/", {"approve": True}), 404)
    answer = post(as_ada, f"{hand.id}/nodes/ok/decision/", {"approve": True, "comment": "fine"})
    assert answer.json()["detail"] == "It is decided."
    assert set(answer.json()) == {"id", "detail"}, "the rest of the workflow is not hers to see"
    assert hand.take_one().index == 1
    assert hand.stored().decisions["0"]["by"] == "ada"
    assert "already" in problem(post(as_ada, f"{hand.id}/nodes/ok/decision/", {"approve": False}), 409)["detail"]
    problem(as_ada.get(f"/api/workflows/{hand.id}/"), 404)


def test_the_owner_alone_does_not_decide(as_ada, ada):
    stored = store(approval(), "aw", owner=ada, jobs=False)
    problem(post(as_ada, f"{stored.pk}/nodes/k0/decision/", {"approve": True}), 404)


def test_a_resume_is_given_what_is_done(as_ada, ada):
    hand = two(ada)
    hand.take_one().whole("failed")
    hand.record()
    assert problem(post(as_ada, f"{hand.id}/resume/", {"done": {"third": 1}}), 409)["detail"] == (
        "There is no node third with a job."
    )
    assert "done" in problem(post(as_ada, f"{hand.id}/resume/", {"done": ["first"]}), 400)["errors"]
    assert post(as_ada, f"{hand.id}/resume/", {"done": {"first": {"n": 1}}}).status_code == 200
    assert hand.take_one().index == 1
    assert hand.stored().decisions["0"]["by"] == "ada"


def test_a_failed_node_is_known_at_once_while_others_run(as_ada, ada):
    workflow = new_workflow()
    workflow.add_signature(signature(), key="bad")
    before = []
    for number in range(5):
        before = [workflow.add_signature(signature(), before, key=f"k{number}")]
    hand = Hand(workflow, owner=ada)
    bad, beside = hand.take()
    beside.start()
    bad.whole("failed")
    # Not a hop later, and before the recorder has come by.
    shown = as_ada.get(f"/api/workflows/{hand.id}/").json()
    assert shown["state"] == "RUNNING"
    assert [node["state"] for node in shown["nodes"]][:3] == ["failed", "running", "waiting"]
    page = as_ada.get(f"/workflows/{hand.id}/").content.decode()
    assert "failed" in page
    assert f"/jobs/?workflow={hand.id}" in page
    hand.record()
    assert StoredWorkflow.objects.get(pk=hand.id).counts == {"f": 1, "r": 1, "w": 4}


def test_jobs_are_listed_by_their_workflow(as_ada, ada, staff):
    stored, other = store(chain(2), "sr", owner=ada), store(chain(1), "r", owner=ada)
    store(chain(1), "r", owner=staff)
    found = as_ada.get(f"/api/jobs/?workflow={stored.pk}").json()["results"]
    assert {row["id"] for row in found} == {f"{stored.pk}-0", f"{stored.pk}-1"}
    page = as_ada.get(f"/jobs/?workflow={stored.pk}&state=running").content.decode()
    assert f"/jobs/{stored.pk}-1/" in page
    assert f"/jobs/{stored.pk}-0/" not in page
    assert f"/jobs/{other.pk}-0/" not in page
    assert as_ada.get("/api/jobs/?workflow=nope").json()["results"] == []


# --- definitions -----------------------------------------------------------------------------------------------------


def test_definitions_are_kept_shown_and_listed(as_staff):
    assert post(as_staff, "definitions/", {"text": SUMS}).status_code == 201
    assert post(as_staff, "definitions/", {"text": SUMS}).json()["version"] == 1
    assert post(as_staff, "definitions/", {"text": SUMS + "# changed\n"}).json()["version"] == 2
    assert as_staff.get("/api/workflows/definitions/").json() == [
        {"name": "sums", "title": "Sums", "description": "", "version": 2}
    ]
    shown = as_staff.get("/api/workflows/definitions/sums/").json()
    assert shown["text"].endswith("# changed\n")
    assert shown["payload_schema"]["properties"]["a"] == {"type": "integer", "minimum": 1}
    assert "text" in problem(post(as_staff, "definitions/", {"text": "name: x"}), 400)["errors"]
    assert "text" in problem(post(as_staff, "definitions/", {}), 400)["errors"]
    problem(as_staff.get("/api/workflows/definitions/nope/"), 404)


def test_a_definition_that_cannot_be_read_any_more_says_why(as_staff, sums):
    sums.versions.update(source="name: sums\nnodes: 3\n")
    assert "Line 2" in problem(as_staff.get("/api/workflows/definitions/sums/"), 400)["errors"]["text"][0]
    assert "Line 2" in problem(post(as_staff, "", {"definition": "sums"}), 400)["errors"]["text"][0]


def test_the_schema_of_definitions_is_published(as_staff):
    schema = as_staff.get("/api/workflows/schema/").json()
    assert schema["properties"]["nodes"]["additionalProperties"]["properties"]["task"]["type"] == "string"

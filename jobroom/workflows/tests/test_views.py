"""The pages of workflows: what they say, who sees them, and how many questions they ask the database."""

import json
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobroom.jobs.models import Job, StoredFile
from jobroom.jobs.models import State as JobState
from jobroom.workflows import arrivals, forecast, progress, services
from jobroom.workflows.definitions import registry
from jobroom.workflows.graph import Graph, Kind, Ref, When
from jobroom.workflows.models import State, StoredWorkflow
from jobroom.workflows.tests.stored import SUMS, chain, fan, job, layers, node, store

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_remembered():
    cache.delete("jobroom.workflows.typical")


TABS = ["graph", "timeline", "grid", "nodes", "result"]


def page(client, stored, query=""):
    answer = client.get(f"/workflows/{stored.pk}/{query}")
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.mark.parametrize("tab", TABS)
def test_every_tab_shows_its_nodes(as_staff, tab):
    stored = store(chain(4), "sfbb", state=State.FAILURE)
    text = page(as_staff, stored, f"?tab={tab}")
    assert "k1" in text
    assert "failed" in text


def test_a_stranger_learns_nothing(client, as_ada, staff):
    stored = store(chain(2), "rw", owner=staff)
    for path in ("", "states/", "resume/", "again/", "?part=head", "?part=panel&node=k0"):
        assert as_ada.get(f"/workflows/{stored.pk}/{path}").status_code == 404, path
    for action in ("pause", "unpause", "cancel", "resume", "again", "decide"):
        assert as_ada.post(f"/workflows/{stored.pk}/{action}/", {"node": "k0"}).status_code == 404, action
    assert stored.pk not in as_ada.get("/workflows/").content.decode()
    stored.refresh_from_db()
    assert stored.state == State.RUNNING
    client.logout()
    assert client.get(f"/workflows/{stored.pk}/").status_code == 302


def test_the_owner_sees_everything(as_ada, ada):
    stored = store(chain(2), "rw", owner=ada)
    assert "Running" in page(as_ada, stored)
    assert stored.pk in as_ada.get("/workflows/").content.decode()


@pytest.mark.usefixtures("one_moment")
def test_states_are_small_and_asked_once(as_staff):
    stored = store(chain(3), "srw")
    Job.objects.filter(node="1").update(progress={"execution": "a", "fraction": 0.5})
    answer = as_staff.get(f"/workflows/{stored.pk}/states/")
    body = answer.json()
    assert (body["node_states"], body["ended"], body["total"]) == ("srw", 1, 3)
    assert body["running"] == {"1": 0.5}
    assert body["progress"] == pytest.approx(0.5)
    again = as_staff.get(f"/workflows/{stored.pk}/states/", headers={"If-None-Match": answer["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    weak = f"W/{answer['ETag']}"  # as it is where the answer was compressed
    assert as_staff.get(f"/workflows/{stored.pk}/states/", headers={"If-None-Match": weak}).status_code == 304
    StoredWorkflow.objects.filter(pk=stored.pk).update(node_states="ssr")
    assert as_staff.get(f"/workflows/{stored.pk}/states/", headers={"If-None-Match": answer["ETag"]}).status_code == 200


def test_progress_is_weighted(as_staff):
    graph = chain(2)
    graph.nodes[0].weight = 9.0
    stored = store(graph, "sw")
    assert as_staff.get(f"/workflows/{stored.pk}/states/").json()["progress"] == 0.9


def test_a_fan_out_counts_its_jobs(as_staff):
    graph = Graph([node(0), node(1, 0, kind=Kind.FAN_OUT, over=Ref(0).plain())])
    stored = store(graph, "sx", items={"1": 4})
    Job.objects.bulk_create(
        job(stored, f"1.{at}", state)
        for at, state in enumerate([JobState.SUCCEEDED, JobState.SUCCEEDED, JobState.FAILED, JobState.RUNNING])
    )
    assert as_staff.get(f"/workflows/{stored.pk}/states/").json()["items"] == {"1": [4, 3, 1]}
    assert "3 of 4" in page(as_staff, stored)
    panel = page(as_staff, stored, "?node=k1&part=panel&item_state=failed")
    assert panel.count(f"/jobs/{stored.pk}-1.") == 1


@pytest.mark.parametrize("path", [*(f"?tab={tab}&node=k1" for tab in TABS), "states/", "?part=head"])
def test_no_page_asks_more_for_more_nodes(as_staff, path):
    """Count the questions to the database for ten and for two hundred nodes."""
    numbers = []
    for count in (10, 200):
        stored = store(layers(count, 5), "s" * 5 + "rf" + "w" * (count - 7), name=f"of {count}")
        tries = []
        for _ in range(3):  # what is remembered for seconds only may have to be asked again in one of them
            with CaptureQueriesContext(connection) as asked:
                assert as_staff.get(f"/workflows/{stored.pk}/{path}").status_code == 200
            tries.append(len(asked))
        numbers.append(min(tries))
    assert numbers[0] == numbers[1]
    assert numbers[0] <= 20


def test_the_list_asks_no_more_for_more_rows(as_staff):
    numbers = []
    as_staff.get("/workflows/")  # keeps the person's time zone
    for _ in range(2):
        for _ in range(5):
            store(chain(2), "sr", jobs=False)
        with CaptureQueriesContext(connection) as asked:
            as_staff.get("/workflows/")
        numbers.append(len(asked))
    assert numbers[0] == numbers[1]


def test_the_list_teaches_when_it_is_empty(as_staff):
    assert "No workflow yet" in as_staff.get("/workflows/").content.decode()


def test_what_a_node_waits_for_is_said(as_staff):
    graph = Graph([node(0), node(1), node(2, 0, 1), node(3, 0, when=When.FAILURE), node(4, 2)])
    stored = store(graph, "srwbw")
    assert "Waits for “k1” (1 of 2 ended)." in page(as_staff, stored, "?node=k2").replace("&quot;", '"')
    assert "It will not run, because “k0” did not fail." in page(as_staff, stored, "?node=k3")


def test_arguments_are_readable_before_the_node_is_sent(as_staff):
    graph = Graph([node(0), node(1, 0, args=[Ref(0, ("total", 0)).plain()], kwargs={"password": "hush", "n": 3})])
    text = page(as_staff, store(graph, "rw"), "?node=k1&part=panel")
    assert "k0.result[&quot;total&quot;][0]" in text
    assert "hush" not in text


def test_an_unknown_node_is_not_found(as_staff):
    stored = store(chain(2), "sr")
    assert as_staff.get(f"/workflows/{stored.pk}/?node=nobody").status_code == 404


@pytest.mark.parametrize(
    "query",
    [
        "?tab=no",
        "?toggle=x.g7.gg",
        "?tab=nodes&state=%00&page=99&only=9-1,a-b,-",
        "?tab=grid&rows=99",
        "?part=no",
        "?node=k0&items=zz&item_state=zz",
    ],
)
def test_nonsense_in_the_address_does_no_harm(as_staff, query):
    page(as_staff, store(chain(2), "sr"), query)


@pytest.mark.parametrize("query", ["?tab=nodes&page=x", "?tab=grid&rows=-1"])
def test_a_page_that_no_link_has_given_is_refused(as_staff, query):
    assert as_staff.get(f"/workflows/{store(chain(2), 'sr').pk}/{query}").status_code == 400


def test_actions_say_why_they_are_not_there(as_staff):
    text = page(as_staff, store(chain(1), "s", state=State.SUCCESS))
    assert "It can be paused only while it runs. It is succeeded." in text
    assert "It succeeded. Run it again instead." in text


def test_resume_says_before_what_it_does(as_staff, monkeypatch):
    asked = []
    monkeypatch.setattr(services, "resume", lambda stored, by, changes, **more: asked.append(changes) or [])
    graph = chain(4)
    graph.nodes[1].args = [1, 2]
    stored = store(graph, "sfbb", state=State.FAILURE)
    text = as_staff.get(f"/workflows/{stored.pk}/resume/").content.decode()
    assert "1 node runs again" in text
    assert "2 nodes follow" in text
    assert "1 result is kept" in text
    unchanged = {"node-1-shown": "1", "node-1-x": "1", "node-1-y": "2"}
    assert as_staff.post(f"/workflows/{stored.pk}/resume/", unchanged).status_code == 303
    assert as_staff.post(f"/workflows/{stored.pk}/resume/", {}).status_code == 303
    as_staff.post(f"/workflows/{stored.pk}/resume/", {**unchanged, "node-1-y": "3"})
    assert asked == [{}, {}, {"k1": {"args": [], "kwargs": {"x": 1, "y": 3}}}]


def test_arguments_that_are_no_json_are_reported_with_their_place(as_staff):
    graph = chain(2)
    graph.nodes[1].args, graph.nodes[1].task = [1], "of.another.place"
    stored = store(graph, "sf", state=State.FAILURE)
    answer = as_staff.post(f"/workflows/{stored.pk}/resume/", {"args-1": "[1,", "kwargs-1": "{}"})
    assert answer.status_code == 422
    assert "Of node “k1”: args is no JSON. Line 1, column 4" in answer.content.decode()
    assert "[1," in answer.content.decode()


def test_run_again_with_changes_begins_a_new_one(as_staff, monkeypatch, django_capture_on_commit_callbacks):
    graph = chain(2)
    graph.nodes[0].args = [1, 2]
    for one in graph.nodes:
        one.options["queue"] = "default"
    stored = store(graph, "ss", state=State.SUCCESS)
    answer = as_staff.post(
        f"/workflows/{stored.pk}/again/", {"node-0-shown": "1", "node-0-x": "5", "node-0-y": "6", "note": "once more"}
    )
    assert answer.status_code == 303
    new = StoredWorkflow.objects.exclude(pk=stored.pk).get()
    assert answer["Location"] == new.get_absolute_url()
    assert (new.rerun_of_id, new.note, new.source) == (stored.pk, "once more", "page")
    assert new.read_graph().nodes[0].kwargs == {"x": 5, "y": 6}


def test_a_bad_argument_of_a_new_run_is_reported(as_staff):
    graph = chain(1)
    graph.nodes[0].args = [1, 2]
    stored = store(graph, "s", state=State.SUCCESS)
    answer = as_staff.post(f"/workflows/{stored.pk}/again/", {"node-0-shown": "1", "node-0-x": "many", "node-0-y": ""})
    assert answer.status_code == 422
    text = answer.content.decode()
    assert [text.count(f'role="alert">{one}') for one in ("Give a number", "This argument is needed.")] == [1, 1]
    assert 'value="many"' in text


@pytest.fixture
def asking():
    graph = Graph([node(0, kind=Kind.APPROVAL, task="", options={"question": "Publish it?", "groups": ["editors"]})])
    return store(graph, "a", jobs=False)


def test_members_of_the_group_decide_without_seeing_the_rest(client, asking, monkeypatch):
    decided = []
    monkeypatch.setattr(
        arrivals, "decide", lambda stored, node, approve, by, comment: decided.append((approve, by.username, comment))
    )
    member, other = User.objects.create_user("member"), User.objects.create_user("other")
    member.groups.add(Group.objects.create(name="editors"))
    other.groups.add(Group.objects.create(name="readers"))
    body = {"node": "k0", "verdict": "approve", "comment": "fine"}
    client.force_login(other)
    assert "Publish it?" not in client.get("/workflows/decisions/").content.decode()
    assert client.post(f"/workflows/{asking.pk}/decide/", body).status_code == 404
    client.force_login(member)
    assert "Publish it?" in client.get("/workflows/decisions/").content.decode()
    assert "1 decision waits for you" in client.get("/workflows/").content.decode()
    assert client.get(f"/workflows/{asking.pk}/").status_code == 404
    answer = client.post(f"/workflows/{asking.pk}/decide/", body)
    assert (answer.status_code, answer["Location"]) == (303, "/workflows/decisions/")
    assert decided == [(True, "member", "fine")]


def test_an_owner_who_may_not_decide_reads_who_may(as_ada, ada, asking):
    StoredWorkflow.objects.filter(pk=asking.pk).update(owner=ada)
    text = page(as_ada, asking)
    assert "Staff and members of editors may decide." in text
    assert 'disabled title="Staff and members of editors may decide."' in text
    as_ada.post(f"/workflows/{asking.pk}/decide/", {"node": "k0", "verdict": "approve"})
    asking.refresh_from_db()
    assert asking.decisions == {}


def test_the_grid_shows_earlier_runs_of_the_same_name_that_one_may_see(as_ada, ada, staff):
    mine = store(chain(2), "sf", owner=ada, state=State.FAILURE)
    others = store(chain(2), "ss", owner=staff, state=State.SUCCESS)
    now = store(chain(2), "sr", owner=ada)
    text = page(as_ada, now, "?tab=grid")
    assert mine.pk in text
    assert others.pk not in text


def test_ten_thousand_nodes_are_bundled(as_staff):
    stored = store(layers(10_000, 100), "s" * 5000 + "w" * 5000, jobs=False)
    text = page(as_staff, stored)
    assert "too large to draw each node" in text
    assert text.count('class="node ') < 1600


def test_the_job_of_a_node_leads_back(as_staff):
    stored = store(chain(2), "sr")
    text = as_staff.get(f"/jobs/{stored.pk}-1/").content.decode()
    assert f'href="/workflows/{stored.pk}/?at=1"' in text
    assert "k0" in page(as_staff, stored, "?at=1")


def test_the_admin_shows_no_graph(as_staff):
    stored = store(chain(2), "sr")
    assert stored.pk in as_staff.get("/admin/jobroom_workflows/storedworkflow/").content.decode()
    text = as_staff.get(f"/admin/jobroom_workflows/storedworkflow/{stored.pk}/change/").content.decode()
    assert "sample" in text
    assert "&quot;nodes&quot;" not in text


def test_the_expected_end_is_known_only_when_it_is(as_staff):
    stored = store(chain(3), "sww")
    assert forecast.left(progress.now_of(stored)) != "end unknown"  # demo.add has succeeded before: node 0
    unknown = store(chain(3, task="never.ran"), "www")
    assert forecast.left(progress.now_of(unknown)) == "end unknown"


def test_a_steady_pace_gives_the_end_where_no_task_has_a_history(as_staff):
    stored = store(chain(100, task="never.ran"), "s" * 50 + "r" + "w" * 49)
    Job.objects.all().update(started_at=None)  # nothing says how long one takes
    StoredWorkflow.objects.update(started_at=timezone.now() - timedelta(seconds=60))
    stored.refresh_from_db()
    seconds = forecast._seconds_left(progress.now_of(stored))
    assert 55 < seconds < 70
    slow = store(chain(100, task="never.ran"), "s" * 5 + "r" + "w" * 94)
    assert forecast.left(progress.now_of(slow)) == "end unknown", "before a tenth is done the pace says little"


def test_a_nodes_own_history_goes_before_that_of_its_task(as_staff):
    version = registry.keep(SUMS, origin="a test")
    before = store(chain(2), "ss", state=State.SUCCESS, definition=version)
    now = timezone.now()
    Job.objects.filter(workflow_id=before.pk, node="1").update(started_at=now - timedelta(seconds=300), finished_at=now)
    stored = store(chain(2), "sw", definition=version)
    assert forecast.histories(stored)[1] == pytest.approx(300, abs=1)
    assert forecast._seconds_left(progress.now_of(stored)) == pytest.approx(300, abs=2)


def test_states_are_json_without_the_graph(as_staff):
    stored = store(layers(500, 10), "w" * 500)
    body = as_staff.get(f"/workflows/{stored.pk}/states/").content
    assert len(body) < 1500
    assert json.loads(body)["total"] == 500


def test_a_fan_is_drawn_with_an_arrow_for_each_edge(as_staff):
    text = page(as_staff, store(fan(3), "srrrw"))
    assert text.count('marker-end="url(#arrow)"') == 6


def test_who_decides_sees_what_is_decided_if_they_may_see_the_workflow(client, ada):
    graph = chain(2)
    graph.nodes[1].kind, graph.nodes[1].task = Kind.APPROVAL, ""
    graph.nodes[1].options = {"question": "Publish it?", "groups": ["editors"]}
    stored = store(graph, "sa", owner=ada, payload={"title": "Sheep of the north", "password": "hush"})
    StoredFile.objects.create(name="sheep.png", size=3, content_type="image/png", job_id=f"{stored.pk}-0", owner=ada)
    editors = Group.objects.create(name="editors")
    ada.groups.add(editors)
    client.force_login(ada)
    page = client.get("/workflows/decisions/").content.decode()
    assert "Sheep of the north" in page
    assert 'alt="sheep.png"' in page
    assert "hush" not in page
    bob = User.objects.create_user("bob")
    bob.groups.add(editors)  # may decide, and see nothing else of it
    client.force_login(bob)
    page = client.get("/workflows/decisions/").content.decode()
    assert "Publish it?" in page
    assert "Sheep of the north" not in page
    assert "sheep.png" not in page


def test_a_graph_has_its_steps_as_a_list_for_phones(client, ada):
    stored = store(chain(3), "sfb", owner=ada)
    client.force_login(ada)
    page = client.get(f"/workflows/{stored.pk}/").content.decode()
    assert page.count('data-step="') == 3
    assert 'class="step state-failed"' in page

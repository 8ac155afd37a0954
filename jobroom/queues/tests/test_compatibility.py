"""What waits is held against the code before a deploy: what would fail with it is said, and nothing else."""

import json

import pytest
from django.core.management import call_command
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from jobroom.arguments.redaction import HIDDEN
from jobroom.jobs.models import Job, Preset, State
from jobroom.queues.compatibility import check_waiting
from jobroom.workflows.definitions import registry
from jobroom.workflows.graph import Graph, Ref
from jobroom.workflows.models import Definition
from jobroom.workflows.models import State as WorkflowState
from jobroom.workflows.tests.stored import node, store

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _nothing_waits():
    PeriodicTask.objects.all().delete()
    Definition.objects.all().delete()


def job(number: int, task: str, state=State.QUEUED, **kwargs) -> None:
    Job.objects.create(id=f"0000000{number}-aaaa-4aaa-8aaa-aaaaaaaaaaaa", task=task, state=state, kwargs=kwargs)


def troubles() -> list[tuple[str, str, int]]:
    return [(row.kind, row.problem, row.count) for row in check_waiting().misfits]


def test_what_fits_is_not_mentioned():
    job(1, "demo.add", x=1, y=2)
    found = check_waiting()
    assert found.misfits == []
    assert found.looked_at["job"] == 1


def test_waiting_jobs_of_a_task_that_is_gone_and_of_one_that_changed():
    job(1, "demo.ad", x=1, y=2)
    job(2, "demo.add", x=1)
    job(3, "demo.add", State.SCHEDULED, x=1)
    job(4, "demo.add", State.RETRYING, x="one", y=2)
    job(5, "demo.ad", State.SUCCEEDED)  # nothing runs it any more
    found = troubles()
    assert ("job", "there is no task of that name. Did you mean “demo.add”?", 1) in found
    assert ("job", '“y” is missing: add "y": and its value.', 2) in found
    assert sum(count for _, _, count in found) == 4


def test_a_hidden_secret_has_no_type():
    job(1, "demo.add", x=HIDDEN, y=2)
    assert troubles() == []


def test_schedules_and_presets(django_user_model):
    every = IntervalSchedule.objects.create(every=1, period="hours")
    for name, enabled in (("on", True), ("off", False)):
        PeriodicTask.objects.create(name=name, task="demo.add", interval=every, kwargs='{"z": 1}', enabled=enabled)
    owner = django_user_model.objects.create_user("ada")
    Preset.objects.create(name="half", task="demo.add", owner=owner, arguments={"x": 1})
    Preset.objects.create(name="old", task="demo.add", owner=owner, arguments={"first": 1})
    found = check_waiting()
    assert {row.kind for row in found.misfits} == {"schedule", "preset"}
    assert {name for row in found.misfits for name in row.examples if row.kind == "schedule"} == {"on"}
    assert [row.examples[0].split()[0] for row in found.misfits if row.kind == "preset"] == ["old"]


def test_definitions():
    registry.keep("version: 1\nname: sums\nnodes:\n  a: {task: demo.add, kwargs: {x: 1, y: 2}}\n", origin="x")
    assert troubles() == []
    text = "version: 1\nname: gone\nnodes:\n  a: {task: demo.vanished}\n"
    registry.keep(text, origin="x", check=False)
    assert [(row.kind, row.examples) for row in check_waiting().misfits] == [("definition", ["gone"])]
    assert check_waiting(["*demo.vanished*"]).misfits == []


def test_nodes_of_workflows_in_flight_that_are_still_to_run():
    first = node(0)  # it has run: what it was given does not matter any more
    stored = store(Graph([first, node(1, 0, kwargs={"x": Ref(0).plain(), "z": 1})]), "sw")
    assert {kind for kind, _, _ in troubles()} == {"workflow"}
    assert {problem.split(" ")[0] for _, problem, _ in troubles()} == {"“y”", "“z”"}, (
        "the result's type is not known yet"
    )
    stored.state = WorkflowState.SUCCESS
    stored.save()
    assert troubles() == []


def test_the_command_decides_a_pipeline(capsys):
    job(1, "demo.add", x=1, y=2)
    call_command("check_waiting")
    assert "all fit" in capsys.readouterr().out
    job(2, "billing.pay")
    with pytest.raises(SystemExit) as ended:
        call_command("check_waiting", json=True)
    assert ended.value.code == 1
    assert json.loads(capsys.readouterr().out)["misfits"][0]["task"] == "billing.pay"
    call_command("check_waiting", ignore=["billing.*"])


def test_page_and_api_say_the_same(admin_client, monkeypatch):
    monkeypatch.setattr("jobroom.queues.views.compatibility.SECONDS", 60.0)
    job(1, "demo.ad")
    assert "Did you mean “demo.add”?" in admin_client.get("/doctor/waiting/").content.decode()
    assert admin_client.get("/api/doctor/waiting/").json()["misfits"][0]["count"] == 1


def test_a_request_looks_for_a_while_and_says_that_there_is_more(client, django_user_model, monkeypatch):
    for number in range(3):
        job(number, "demo.add", x=1)
    found = check_waiting(seconds=-1)
    assert (found.unfinished, found.looked_at["job"], found.misfits) == (["job"], 0, [])
    assert check_waiting().unfinished == []
    monkeypatch.setattr("jobroom.queues.views.compatibility.SECONDS", -1.0)
    client.force_login(django_user_model.objects.create_user("grace", is_staff=True))
    page = client.get("/doctor/waiting/").content.decode()
    assert "What was looked at fits" in page
    assert "0, and there are more: the command looks at all" in page
    assert client.get("/api/doctor/waiting/").json()["unfinished"] == ["job"]

"""A job that gives its place to others (`self.replace`) waits for them as one job: it is not missed, and not run again."""

import json
from typing import Any

import pytest
from celery.result import AsyncResult
from django.contrib.auth import get_user_model

from jobroom import redis
from jobroom.events import consumer
from jobroom.jobs import control
from jobroom.jobs.explanations import facts
from jobroom.jobs.models import Job, State
from jobroom.testing import wait_until
from jobroom.testing.processes import Recorder, Worker, running
from jobroom.workflows.models import StoredWorkflow
from jobroom.workflows.workflows import Workflow
from tests.acceptance import replacing_tasks as tasks
from tests.acceptance.counting.apps import ROUNDS

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.xdist_group("replaced"),
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(360),
]

# Times so short that anyone who misses a message acts at once.
SOON = {"DJANGO_SETTINGS_MODULE": "tests.acceptance.replacing_settings"}


@pytest.fixture(scope="module")
def processes(django_db_setup):
    """One worker and one recorder for all tests: none of them harms them."""
    redis.client().flushdb()
    worker = Worker(app="tests.acceptance.replacing_tasks", env=SOON, concurrency=4)
    with running(worker, Recorder(env=SOON)):
        yield worker
    redis.client().flushdb()


@pytest.fixture(autouse=True)
def _fresh(processes):
    redis.client().delete(tasks.TRACE, tasks.GATE)
    yield
    redis.client().set(tasks.GATE, 1)


def trace() -> list[str]:
    names: Any = redis.client().lrange(tasks.TRACE, 0, -1)
    return sorted(names)


def open_gate() -> None:
    redis.client().set(tasks.GATE, 1)


def has_ended(job: str, state: State) -> bool:
    return Job.objects.filter(pk=job, state=state).exists() and not consumer.lag().entries


def has_given_its_place(job: str) -> bool:
    row = Job.objects.filter(pk=job).first()
    return row is not None and row.gave_its_place


def look_often(job: str) -> None:
    """Wait until those who miss messages have looked many times at a job that has none."""
    wait_until(lambda: has_given_its_place(job), 60)
    asked = rounds()
    wait_until(lambda: rounds() > asked + 12, 120, "rounds of housekeeping")


def rounds() -> int:
    """Return how often housekeeping looked at what is late."""
    return int(redis.client().get(ROUNDS) or 0)


def test_a_job_waits_for_what_took_its_place_and_runs_once(processes):
    job = tasks.counts.delay([1, 2, 3]).id
    look_often(job)
    row = Job.objects.get(pk=job)
    assert (row.state, row.queue) == (State.QUEUED, "")
    (fact,) = facts(row)
    assert fact.text == "It gave its place to 3 other jobs, of which none has ended."
    wait_until(lambda: trace() == ["counts", "part 1", "part 2", "part 3"], 60)
    open_gate()
    assert AsyncResult(job).get(timeout=60) == 6
    wait_until(lambda: has_ended(job, State.SUCCEEDED), 60)
    assert trace() == ["counts", "part 1", "part 2", "part 3", "total"]
    row.refresh_from_db()
    assert (row.task, row.args, row.result, row.queue) == ("replacing.counts", [[1, 2, 3]], 6, "default")


def test_a_group_takes_its_place_too(processes):
    job = tasks.lists.delay([1, 2]).id
    look_often(job)
    open_gate()
    assert AsyncResult(job).get(timeout=60) == [1, 2]
    wait_until(lambda: has_ended(job, State.SUCCEEDED), 60)
    row = Job.objects.get(pk=job)
    assert (row.task, row.args, row.result, row.attempts) == ("replacing.lists", [[1, 2]], [1, 2], 1)
    assert trace() == ["lists", "part 1", "part 2"]


def test_cancelling_it_cancels_what_took_its_place(processes):
    staff = get_user_model().objects.create_superuser("ada")
    job = tasks.counts.delay([1, 2]).id
    look_often(job)
    parts = list(Job.objects.filter(parent_id=job).values_list("pk", flat=True))
    wait_until(lambda: Job.objects.filter(pk__in=parts, state=State.RUNNING).count() == 2, 60)
    control.cancel(job=Job.objects.get(pk=job), by=staff)
    wait_until(lambda: Job.objects.filter(pk__in=[job, *parts], state=State.CANCELLED).count() == 3, 120)
    assert trace() == ["counts", "part 1", "part 2"]


@pytest.mark.parametrize("how", ["chord", "chain"])
def test_a_job_whose_place_was_taken_by_what_fails_has_failed(processes, how):
    job = tasks.fails.delay(how).id
    if how == "chord":
        look_often(job)
        open_gate()
    wait_until(lambda: has_ended(job, State.FAILED), 60)
    row = Job.objects.get(pk=job)
    assert "a part fails, as asked" in row.error
    assert row.queue == "default", "it can be retried where it was"
    assert trace().count("fails") == 1


def test_its_message_starts_nothing_when_it_is_delivered_again(processes):
    job = tasks.counts.apply_async([[1]], queue="elsewhere").id  # no worker reads there
    message = next(text for text in redis.client().lrange("elsewhere", 0, -1) if job in text)
    redis.client().delete("elsewhere")
    again = json.loads(message)
    again["properties"]["delivery_info"]["routing_key"] = "default"
    redis.client().lpush("default", json.dumps(again))
    wait_until(lambda: has_given_its_place(job) and "part 1" in trace(), 60, "its run has ended")
    again["properties"]["delivery_tag"] = "another"
    redis.client().lpush("default", json.dumps(again))
    wait_until(lambda: f"Job {job} has ended already, or runs elsewhere" in processes.log, 60, "it is dropped")
    open_gate()
    wait_until(lambda: has_ended(job, State.SUCCEEDED), 60)
    redis.client().lpush("default", json.dumps(again | {"properties": again["properties"] | {"delivery_tag": "third"}}))
    wait_until(lambda: processes.log.count(f"Job {job} has ended already, or runs elsewhere") >= 2, 60)
    assert trace() == ["counts", "part 1", "total"]


@pytest.mark.parametrize(("how", "began"), [("one", ["plain", "twice"]), ("chain", ["part 4", "plain", "twice"])])
def test_a_task_with_a_base_of_the_project_may_give_its_place_away_too(processes, how, began):
    job = tasks.plain.delay(how, 4).id
    if how == "chain":
        look_often(job)
        assert Job.objects.get(pk=job).state == State.QUEUED
        open_gate()
    assert AsyncResult(job).get(timeout=60) == 8
    wait_until(lambda: has_ended(job, State.SUCCEEDED), 60)
    assert trace() == began
    assert Job.objects.get(pk=job).result == 8


def test_a_node_that_gave_its_place_away_is_not_sent_again(processes):
    workflow = Workflow(name="replacing")
    workflow.add_celery_canvas(tasks.counts.s([1, 2]) | tasks.twice.s())
    result = workflow.apply_async()
    wait_until(lambda: trace() == ["counts", "part 1", "part 2"], 60)
    stored = StoredWorkflow.objects.get(name="replacing")
    nodes = Job.objects.filter(task="replacing.counts", workflow_id=stored.pk)
    wait_until(nodes.exists, 60, "the history has it")
    look_often(nodes.get().pk)
    assert trace() == ["counts", "part 1", "part 2"]
    open_gate()
    assert result.get(timeout=60) == 6
    assert trace() == ["counts", "part 1", "part 2", "total", "twice"]


def test_its_page_says_what_it_waits_for(processes, client):
    job = tasks.counts.delay([1, 2]).id
    look_often(job)
    client.force_login(get_user_model().objects.create_superuser("ada"))
    html = client.get(Job.objects.get(pk=job).get_absolute_url()).content.decode()
    assert "It gave its place to 2 other jobs, of which none has ended" in html
    open_gate()
    wait_until(lambda: has_ended(job, State.SUCCEEDED), 60)

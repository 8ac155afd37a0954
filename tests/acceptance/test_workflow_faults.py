"""Ends that only real workers know: states that a task stores itself, killed processes, unknown tasks; and a cancel of many."""

import time

import pytest
from django.core.management import call_command
from django.db import connection

from image.celery import app
from jobroom import redis
from jobroom.jobs.models import Job
from jobroom.testing import wait_until
from jobroom.testing.processes import Recorder, Worker, running
from jobroom.workflows import services
from jobroom.workflows.engine import keys
from jobroom.workflows.models import FINISHED, State, StoredWorkflow
from jobroom.workflows.workflows import Workflow
from tests.acceptance import workflow_tasks as tasks

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.xdist_group("faults"),
    pytest.mark.django_db(transaction=True, serialized_rollback=False),
    pytest.mark.timeout(480),
]

SLOW = 60.0


@pytest.fixture(scope="module")
def room(django_db_setup, django_db_blocker):
    """Run one worker and one recorder for all tests of this module."""
    with django_db_blocker.unblock():
        redis.client().flushdb()
        with running(Worker(app="tests.acceptance.workflow_tasks"), Recorder()):
            yield
        call_command("flush", verbosity=0, interactive=False)
        redis.client().flushdb()
        connection.close()


def ended(workflow):
    def over():
        return StoredWorkflow.objects.filter(pk=workflow.id, state__in=FINISHED).first()

    return wait_until(over, SLOW, "the workflow ends")


def job_of(workflow, node):
    def over():
        found = Job.objects.filter(workflow_id=workflow.id, node=node).first()
        return found if found is not None and found.is_finished else None

    return wait_until(over, SLOW, f"node {node} has ended in the database")


@pytest.mark.parametrize(
    ("state", "meta", "job_state", "ends", "error"),
    [
        ("FAILURE", {"exc_type": "ValueError", "exc_message": "not today"}, "failed", State.FAILURE, "not today"),
        ("REVOKED", {"exc_type": "TaskRevokedError", "exc_message": ["enough"]}, "cancelled", State.FAILURE, "enough"),
        ("SUCCESS", 41, "succeeded", State.SUCCESS, ""),
        ("PROGRESS", {"done": 1}, "succeeded", State.SUCCESS, ""),
    ],
)
def test_a_task_that_stores_its_state_and_says_nothing_more_ends_as_celerys_result_says(
    room, state, meta, job_state, ends, error
):
    workflow = Workflow(name=f"says {state}")
    node = workflow.add_signature(tasks.says.si(state, meta), key="says")
    workflow.add_signature(tasks.give.si(node.result), key="after")
    workflow.apply_async()
    assert ended(workflow).state == ends
    job = job_of(workflow, "0")
    assert (job.state, job.error) == (job_state, error)
    if state == "SUCCESS":
        assert job_of(workflow, "1").result == 41
    plain = tasks.says.delay(state, meta)

    def is_recorded():
        return Job.objects.filter(pk=plain.id, state=job_state).exists()

    wait_until(is_recorded, SLOW, "a job without a workflow ends in the same way")


def test_a_node_whose_process_is_killed_is_lost(room):
    workflow = Workflow(name="dies")
    workflow.add_signature(tasks.dies.si(), key="dies")
    workflow.apply_async()
    assert ended(workflow).state == State.FAILURE
    job = job_of(workflow, "0")
    assert (job.state, job.error_type) == ("lost", "WorkerLostError")
    wait_until(lambda: StoredWorkflow.objects.get(pk=workflow.id).node_states == "l", SLOW, "the state says so too")


def test_a_task_that_the_worker_does_not_know_says_so_and_what_to_do(room):
    workflow = Workflow(name="gone", external=("flow.*",))
    workflow.add_signature(app.signature("flow.gone", immutable=True, queue="default"), key="gone")
    workflow.apply_async()
    stored = ended(workflow)
    assert stored.state == State.FAILURE
    job = job_of(workflow, "0")
    assert job.error.startswith("No worker of queue default knows the task flow.gone, nor does any other.")
    assert "Deploy its code" in job.error
    assert job.error_type == "NotRegistered"


def test_a_time_limit_is_known_while_the_only_node_goes_on(room, tmp_path):
    for limit in (0, 1, 2):
        workflow = Workflow(name=f"limit {limit}")
        go = tmp_path / str(limit)
        workflow.add_signature(tasks.gated.si(str(go)), key="works")
        workflow.set_max_processing_time(limit)
        began = time.monotonic()
        workflow.apply_async()

        def given_up(pk=workflow.id):
            return redis.client().hget(keys.workflow(pk), "error")

        wait_until(given_up, SLOW, "it is given up although its only node goes on")
        assert time.monotonic() - began >= limit
        go.touch()
        stored = ended(workflow)
        assert (stored.state, stored.error) == (State.ERROR, "The workflow was processed for too long.")


def test_of_many_queued_nodes_none_starts_after_the_answer_to_a_cancel(room):
    workflow = Workflow(name="many")
    for number in range(600):
        workflow.add_signature(tasks.brief.si(f"many{number}"), key=f"k{number}")
    workflow.apply_async()
    wait_until(lambda: redis.client().hlen("flow:ran") > 5, SLOW, "some have run")
    said = services.cancel(StoredWorkflow.objects.get(pk=workflow.id), by=None, name="me")
    ran = redis.client().hlen("flow:ran")
    stored = ended(workflow)
    assert stored.state == State.CANCELLED
    after = redis.client().hlen("flow:ran")
    assert after - ran <= said.running, "only what ran already may have come to its end"

    def booked():
        return Job.objects.filter(workflow_id=workflow.id, state="cancelled").count() >= said.queued

    wait_until(booked, SLOW, "every queued job is cancelled in the database")
    assert said.queued + after >= 600

"""Workflows with RabbitMQ as broker: Celery sends the messages of the nodes, and the engine's steps stay in Redis."""

import pytest
from celery import chain, chord, group

from jobroom import redis
from jobroom.jobs.models import Job
from jobroom.testing import wait_until
from jobroom.testing.processes import Recorder, Worker, running
from jobroom.workflows import services
from jobroom.workflows.models import State, StoredWorkflow
from jobroom.workflows.workflows import Workflow
from tests.acceptance import workflow_tasks as tasks
from tests.integration.test_rabbitmq import SLOW, rabbit

__all__ = ["rabbit"]

pytestmark = [
    pytest.mark.rabbitmq,
    pytest.mark.xdist_group("rabbitmq"),
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(480),
]


@pytest.fixture
def room(rabbit):
    """Run a worker and a recorder that speak to RabbitMQ."""
    env = {**rabbit, "DJANGO_SETTINGS_MODULE": "tests.acceptance.soon_settings"}
    with running(Worker(app="tests.acceptance.workflow_tasks", env=env), Recorder(env=env)):
        yield


def ended(workflow_id):
    """Wait for the end; return what the database says then."""

    def over():
        found = StoredWorkflow.objects.get(pk=workflow_id)
        return found.state not in {State.RUNNING, State.PAUSED} and found

    return wait_until(over, SLOW, "the workflow ends")


def node_states(workflow_id, wanted):
    wait_until(
        lambda: StoredWorkflow.objects.get(pk=workflow_id).node_states == wanted, SLOW, "the database has every node"
    )


@pytest.mark.parametrize(
    ("canvas", "result"),
    [
        (chain(tasks.add.s(4, 5), tasks.add.s(6), tasks.mul.s(7)), 105),
        (chord([tasks.add.s(n, n) for n in range(5)], tasks.total.s()), 20),
        (chain(tasks.add.s(1, 1), group(tasks.add.s(10), tasks.mul.s(10)), tasks.total.s()), 32),
    ],
    ids=["chain", "chord", "chain with a group"],
)
@pytest.mark.usefixtures("room")
def test_canvases_end_with_their_results(canvas, result):
    workflow = Workflow(name="canvas")
    workflow.add_celery_canvas(canvas)
    answer = workflow.apply_async()
    assert answer.get(timeout=SLOW) == result
    stored = ended(workflow.id)
    assert (stored.state, stored.result) == (State.SUCCESS, result)
    assert not redis.client().llen("default"), "a message went into Redis"


@pytest.mark.usefixtures("room")
def test_a_fan_out_runs_for_each_item_and_gathers_in_order():
    workflow = Workflow(name="fan")
    numbers = workflow.add_signature(tasks.numbers.si(20), key="numbers")
    doubled = workflow.add_fan_out(tasks.mul.s(2), numbers, key="double")
    total = workflow.add_signature(tasks.total.si(doubled.result), key="total")
    workflow.returns([doubled.result, total.result])
    workflow.apply_async()
    stored = ended(workflow.id)
    assert (stored.state, stored.result) == (State.SUCCESS, [[2 * n for n in range(20)], 380])
    wait_until(lambda: Job.objects.filter(workflow_id=workflow.id, state="succeeded").count() == 22, SLOW)


@pytest.mark.usefixtures("room")
def test_a_failure_is_resumed_and_every_finished_result_is_kept():
    workflow = Workflow(name="resumed")
    first = workflow.add_signature(tasks.count.si("first"), key="first")
    shaky = workflow.add_signature(tasks.fail_unless.si("disk"), [first], key="shaky")
    workflow.add_signature(tasks.count.si("last", shaky.result, first.result), key="last")
    workflow.apply_async()
    stored = ended(workflow.id)
    assert stored.state == State.FAILURE
    node_states(workflow.id, "sfb")
    redis.client().set("flow:ok:disk", 1)
    assert [node.key for node in services.resume(StoredWorkflow.objects.get(pk=workflow.id), by=None)] == ["shaky"]
    assert ended(workflow.id).state == State.SUCCESS
    assert redis.client().hgetall("flow:ran") == {"first": "1", "last": "1"}
    assert redis.client().hgetall("flow:tried") == {"disk": "2"}

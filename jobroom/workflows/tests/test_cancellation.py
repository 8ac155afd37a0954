"""A cancel holds: nothing begins after it, its numbers are those of the same step, and it costs few steps."""

import json
from typing import Any

import pytest

from jobroom import events, redis
from jobroom.events import cancellation
from jobroom.jobs import bulk
from jobroom.jobs.models import Job
from jobroom.jobs.models import State as JobState
from jobroom.workflows import services
from jobroom.workflows.engine import loader
from jobroom.workflows.models import State, StoredWorkflow
from jobroom.workflows.repair import sweeper
from jobroom.workflows.tests.hand import REPEATED, Hand, new_workflow, signature
from jobroom.workflows.workflows import ITEM_HERE

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _empty_redis():
    redis.client().flushdb()
    sweeper._suspects.seen.clear()


@pytest.fixture
def revokes(monkeypatch):
    """Return the lists of ids that workers were asked to revoke."""
    revoked: list[list[str]] = []
    monkeypatch.setattr("celery.app.control.Control.revoke", lambda self, ids, **_: revoked.append(list(ids)))
    return revoked


def wide(count: int) -> Hand:
    """Begin a fan of nodes with one after all of them."""
    workflow = new_workflow()
    first = [workflow.add_signature(signature(), key=f"k{i}") for i in range(count)]
    workflow.add_signature(signature(), first, key="last")
    return Hand(workflow)


def fan_out(count: int) -> Hand:
    """Begin a fan-out whose items are sent."""
    workflow = new_workflow()
    numbers = workflow.add_signature(signature(), key="numbers")
    workflow.add_fan_out(signature("hand.each", ITEM_HERE), numbers, key="each")
    hand = Hand(workflow)
    hand.take_one().whole(value=list(range(count)))
    return hand


def cancelled_by(answer: str | None) -> str:
    return str(json.loads(answer or "{}").get("by"))


def test_what_was_queued_has_ended_before_the_answer_and_does_not_start(revokes, monkeypatch):
    monkeypatch.setattr(services, "SETTLED_AT_ONCE", 3)
    hand = wide(10)
    runs = hand.take()
    runs[4].start()
    said = services.cancel(hand.stored(), by=None, name="me")
    assert (said.queued, said.running, said.waiting) == (9, 1, 1)
    waiting = [run for run in runs if run is not runs[4]]
    assert [cancelled_by(run.start()) for run in waiting] == ["me"] * 9
    assert revokes == [[run.job for run in waiting]], "one message for all"
    assert cancelled_by(runs[4].writer("progress", runs[4].job, {"current": 1})[1]) == "me"
    runs[4].end("cancelled")
    stored = hand.stored()
    assert (stored.state, stored.node_states) == ("CANCELLED", "c" * 11)
    jobs = Job.objects.filter(workflow_id=hand.id)
    assert {(job.state, job.cancel_by) for job in jobs} == {("cancelled", "me")}
    assert jobs.get(node="0").error == "Cancelled by me before it started."


def test_nothing_starts_from_the_first_step_on_whatever_is_settled_by_then(monkeypatch, settings):
    hand = wide(6)
    runs = hand.take()
    stored = hand.stored()
    steps = iter([0])

    def once(stored: Any, script: str, *arguments: Any) -> Any:
        next(steps)
        return engine(stored, script, *arguments)

    engine = services._call_engine
    monkeypatch.setattr(services, "_call_engine", once)
    monkeypatch.setattr(services, "SETTLED_AT_ONCE", 2)
    with pytest.raises(StopIteration):  # as if it were killed after one step
        services.cancel(stored, by=None, name="me")
    monkeypatch.undo()
    assert [cancelled_by(run.start()) for run in runs] == ["me"] * 6
    assert hand.node_states() == {**dict.fromkeys("0123456", "c")} | dict.fromkeys("2345", "q")
    settings.JOBROOM = settings.JOBROOM | {"WORKFLOWS_SILENT_AFTER": 0.0}
    hand.record()
    sweeper.sweep()
    assert hand.stored().state == "CANCELLED"


def test_items_of_a_fan_out_are_settled_a_part_at_a_time(revokes, monkeypatch):
    monkeypatch.setattr(services, "SETTLED_AT_ONCE", 4)
    hand = fan_out(11)
    runs = hand.take()
    runs[3].start()
    said = services.cancel(hand.stored(), by=None)
    assert (said.queued, said.running, said.waiting) == (10, 1, 0)
    runs[3].end("succeeded", "done all the same")
    stored = hand.stored()
    assert (stored.state, stored.node_states) == ("CANCELLED", "sc")
    assert Job.objects.filter(workflow_id=hand.id, state="cancelled").count() == 10


def test_a_handler_may_start_after_a_cancel():
    workflow = new_workflow()
    workflow.add_signature(signature(), key="work")
    workflow.finalizer(signature("hand.final"))
    hand = Hand(workflow)
    hand.take_one()
    services.cancel(hand.stored(), by=None)
    final = hand.take_one()
    assert final.start() is None
    final.end()
    assert hand.stored().state == "CANCELLED"


def test_a_delivery_that_is_one_too_many_is_reported_so_and_not_that_it_was_cancelled():
    hand = wide(2)
    first, second = hand.take()
    first.whole()
    services.cancel(hand.stored(), by=None)
    assert first.start() == REPEATED
    assert cancelled_by(second.start()) == "Jobroom"


def test_a_cancelled_workflow_that_redis_forgot_still_starts_nothing():
    hand = wide(2)
    runs = hand.take()
    services.cancel(hand.stored(), by=None, name="me")
    StoredWorkflow.objects.filter(pk=hand.id).update(state=State.RUNNING)
    stored = hand.stored()
    hand.forget()
    loader.load(stored, stored.read_graph(), loader.Snapshot())
    assert [run.start() for run in runs] == [REPEATED, REPEATED] or all("me" in str(run.start()) for run in runs)


def test_after_a_resume_everything_may_start_again():
    hand = wide(3)
    hand.take()
    services.cancel(hand.stored(), by=None)
    services.resume(hand.stored(), by=None)
    for run in hand.take():
        assert run.start() is None
        run.end()
    hand.take_one().whole()
    assert hand.stored().state == "SUCCESS"


# --- many jobs ---------------------------------------------------------------------------------------------------------


def test_many_jobs_are_cancelled_in_one_message_and_few_steps(admin_user, revokes, django_assert_max_num_queries):
    ids = [f"j{i:03}" for i in range(150)]
    Job.objects.bulk_create(Job(id=pk, task="demo.add", state=JobState.QUEUED) for pk in ids)
    events.write("started", "j007", {"task": "demo.add"})
    before = redis.client().info("stats")["total_commands_processed"]
    with django_assert_max_num_queries(12):
        outcome = bulk.act("cancel", iter(Job.objects.order_by("pk")), admin_user)
    commands = redis.client().info("stats")["total_commands_processed"] - before
    assert outcome.done == 150
    assert [len(revoked) for revoked in revokes] == [149]
    assert "j007" not in revokes[0]
    assert all(cancellation.requested(pk) for pk in ids)
    assert commands < 150 * 20
    assert not Job.objects.exclude(cancel_by=admin_user.username).exists()

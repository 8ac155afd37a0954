"""Workflows step by step, their messages taken by hand: what is done with them, and what is reported late or never."""

from datetime import timedelta
from typing import Any

import pytest
from celery import current_app
from django.contrib.auth.models import Group, User
from django.utils import timezone

from jobroom import events, redis
from jobroom.celery import delayed, traces
from jobroom.events import cancellation
from jobroom.jobs.models import Job
from jobroom.testing import wait_until
from jobroom.workflows import arrivals, services, store
from jobroom.workflows.engine import keys, loader, scripts
from jobroom.workflows.exceptions import EngineUnavailable, NotAllowed, NotNow
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
def patient(settings):
    """Let the sweeper act at once."""
    settings.JOBROOM = settings.JOBROOM | {"WORKFLOWS_SILENT_AFTER": 0.0}


def chain_of(count: int, **options: Any) -> Hand:
    """Begin nodes one after the other."""
    workflow = new_workflow()
    before: list[Any] = []
    for index in range(count):
        before = [workflow.add_signature(signature(), before, key=f"k{index}", **options)]
    return Hand(workflow)


def fan_out(**options: Any) -> Hand:
    """Begin a node that returns a list, a job for each of its items, and one that is given all results."""
    workflow = new_workflow()
    numbers = workflow.add_signature(signature(), key="numbers")
    each = workflow.add_fan_out(signature("hand.each", 10, ITEM_HERE), numbers, key="each", **options)
    last = workflow.add_signature(signature("hand.last", each.result), key="last")
    workflow.returns({"all": last.result})
    return Hand(workflow)


# --- results ---------------------------------------------------------------------------------------------------------


def test_results_are_passed_by_name_and_returned():
    workflow = new_workflow()
    one = workflow.add_signature(signature(), key="one")
    two = workflow.add_signature(signature("hand.task", one.result["a"][1], x=one.result), key="two")
    workflow.returns([two.result, one.result["a"]])
    hand = Hand(workflow)
    hand.take_one().whole(value={"a": [5, "ä\n"]})
    run = hand.take_one()
    assert (run.args, run.kwargs) == (["ä\n"], {"x": {"a": [5, "ä\n"]}})
    run.whole(value=None)
    stored = hand.stored()
    assert (stored.state, stored.result) == ("SUCCESS", [None, [5, "ä\n"]])


def test_a_part_that_is_not_there_fails_the_node_that_needs_it():
    workflow = new_workflow()
    one = workflow.add_signature(signature(), key="one")
    workflow.add_signature(signature("hand.task", one.result["missing"]), key="two")
    hand = Hand(workflow)
    hand.take_one().whole(value={"there": 1})
    stored = hand.stored()
    assert (stored.state, stored.node_states) == ("FAILURE", "sf")
    job = Job.objects.get(workflow_id=hand.id, node="1")
    assert job.error == "A result that this node needs has no ['missing']; it is an object with there."


def test_jobs_belong_to_the_workflow_and_its_owner(ada):
    workflow = new_workflow()
    workflow.add_signature(signature())
    hand = Hand(workflow, owner=ada)
    hand.take_one().whole()
    hand.record()
    job = Job.objects.get()
    assert (job.workflow_id, job.node, job.owner, job.source) == (hand.id, "0", ada, "workflow")


# --- fan-outs --------------------------------------------------------------------------------------------------------


def test_a_fan_out_runs_once_for_each_item_and_gathers_in_order():
    hand = fan_out()
    hand.take_one().whole(value=[3, 1, 2])
    runs = hand.take()
    assert [(run.node, run.args) for run in runs] == [("1.0", [10, 3]), ("1.1", [10, 1]), ("1.2", [10, 2])]
    for run in reversed(runs):
        run.whole(value=run.args[1] * 2)
    last = hand.take_one()
    assert last.args == [[6, 2, 4]]
    last.whole(value="done")
    stored = hand.stored()
    assert (stored.state, stored.node_states, stored.items) == ("SUCCESS", "sss", {"1": 3})
    assert stored.result == {"all": "done"}


def test_a_fan_out_over_nothing_returns_an_empty_list():
    hand = fan_out()
    hand.take_one().whole(value=[])
    assert hand.take_one().args == [[]]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": 1}, "runs over a list, but the result is dict"),
        (None, "runs over a list, but the result is NoneType"),
        (list(range(6)), r"6 items; at most 5 are allowed \(WORKFLOWS_MAX_ITEMS\)"),
    ],
)
def test_a_fan_out_over_no_list_fails_and_says_why(settings, value, message):
    settings.JOBROOM = settings.JOBROOM | {"WORKFLOWS_MAX_ITEMS": 5}
    hand = fan_out()
    hand.take_one().whole(value=value)
    stored = hand.stored()
    assert (stored.state, stored.node_states) == ("FAILURE", "sfb")
    import re

    assert re.search(message, stored.error)


def test_a_failed_item_fails_the_fan_out_when_all_have_ended_and_resume_runs_it_alone():
    hand = fan_out()
    hand.take_one().whole(value=["a", "b", "c"])
    first, second, third = hand.take()
    first.whole(value="A")
    second.whole("failed")
    assert hand.state() == "RUNNING"
    third.whole(value="C")
    stored = hand.stored()
    assert (stored.state, stored.node_states) == ("FAILURE", "sfb")

    assert [node.key for node in services.resume(stored, by=None)] == ["each"]
    again = hand.take_one()
    assert (again.node, again.args) == ("1.1", [10, "b"])
    again.whole(value="B")
    assert hand.take_one().args == [["A", "B", "C"]]


def test_a_fan_out_that_is_cancelled_ends_and_begins_nothing_more():
    hand = fan_out()
    hand.take_one().whole(value=[1, 2, 3])
    runs = hand.take()
    runs[0].start()
    hand.record()
    said = services.cancel(hand.stored(), by=None, name="me")
    assert (said.queued, said.running) == (2, 1)
    for run in runs[1:]:
        assert "me" in str(run.start())
        run.end("cancelled")
    runs[0].end("cancelled")
    stored = hand.stored()
    assert (stored.state, stored.node_states) == ("CANCELLED", "scc")
    assert not hand.take()


def test_a_fan_out_whose_sending_was_broken_off_sends_only_what_is_missing(patient):
    hand = fan_out()
    hand.take_one().whole(value=[1, 2, 3])
    runs = hand.take()
    redis.client().hdel(keys.workflow(hand.id, "s"), "1.2")  # as if the worker had been killed before the last one
    hand.record()
    sweeper.sweep()
    assert [run.node for run in hand.take()] == ["1.2"]
    assert len(runs) == 3


# --- approvals -------------------------------------------------------------------------------------------------------


def approval(**options: Any) -> Hand:
    """Begin a workflow that waits for a person."""
    workflow = new_workflow()
    asked = workflow.add_approval("ask", question="Publish?", **options)
    workflow.add_signature(signature("hand.task", asked.result["by"], asked.result["comment"]), [asked], key="publish")
    return Hand(workflow)


def node(stored: StoredWorkflow, index: int = 0) -> Any:
    """Return a node of the database's graph."""
    return stored.read_graph().nodes[index]


def test_an_approval_waits_and_passes_on_who_decided(staff):
    hand = approval()
    stored = hand.stored()
    assert stored.node_states == "aw"
    assert set(stored.waiting_since) == {"0"}
    arrivals.decide(stored, node(stored), approve=True, by=staff, comment="fine")
    assert hand.take_one().args == ["grace", "fine"]
    assert hand.stored().decisions["0"]["approved"] is True


def test_a_denial_is_a_failure():
    hand = approval()
    stored = hand.stored()
    arrivals.decide(stored, node(stored), approve=False, by=None)
    stored = hand.stored()
    assert (stored.state, stored.node_states) == ("FAILURE", "fb")


def test_a_decision_is_made_once():
    hand = approval()
    stored = hand.stored()
    arrivals.decide(stored, node(stored), approve=True, by=None)
    with pytest.raises(NotNow, match="No one waits for this"):
        arrivals.decide(stored, node(stored), approve=False, by=None)


def test_only_an_approval_can_be_decided():
    hand = chain_of(1)
    stored = hand.stored()
    with pytest.raises(NotNow, match="“k0” is no approval"):
        arrivals.decide(stored, node(stored), approve=True, by=None)


def test_who_may_decide(ada, staff):
    hand = approval(groups=["editors"])
    stored = hand.stored()
    StoredWorkflow.objects.filter(pk=hand.id).update(owner=ada)
    with pytest.raises(NotAllowed):
        arrivals.decide(stored, node(stored), approve=True, by=ada)
    ada.groups.add(Group.objects.create(name="editors"))
    arrivals.decide(stored, node(stored), approve=True, by=User.objects.get(pk=ada.pk))


@pytest.mark.parametrize(("on_timeout", "node_states"), [("approve", "sq"), ("deny", "fb")])
def test_after_its_time_an_approval_decides_itself(patient, on_timeout, node_states):
    hand = approval(timeout=0.01, on_timeout=on_timeout)
    hand.record()
    wait_until(lambda: sweeper.sweep() and hand.stored().node_states != "aw", 10)
    stored = hand.stored()
    assert stored.node_states == node_states
    assert stored.decisions["0"]["by"] == services.TIMEOUT


def test_an_approval_within_its_time_waits_on(patient):
    hand = approval(timeout=3600)
    hand.record()
    sweeper.sweep()
    assert not sweeper.sweep()
    assert hand.stored().node_states == "aw"


# --- pause, cancel, time limits ---------------------------------------------------------------------------------------


def test_a_paused_workflow_holds_back_what_is_ready():
    hand = chain_of(2)
    services.pause(hand.stored(), by=None)
    hand.take_one().whole()
    stored = hand.stored()
    assert (stored.state, stored.node_states) == ("PAUSED", "sh")
    services.unpause(stored, by=None)
    assert hand.take_one().node == "1"


def test_what_cannot_be_done_now_says_in_which_state_it_is():
    hand = chain_of(1)
    with pytest.raises(NotNow, match=r"It is not paused. It is running"):
        services.unpause(hand.stored(), by=None)
    with pytest.raises(NotNow, match=r"Only a workflow that failed can be resumed. It is running"):
        services.resume(hand.stored(), by=None)
    hand.take_one().whole()
    with pytest.raises(NotNow, match=r"while it runs. It is succeeded"):
        services.pause(hand.stored(), by=None)
    with pytest.raises(NotNow, match=r"It has ended already: succeeded"):
        services.cancel(hand.stored(), by=None)


def test_strangers_may_do_nothing(ada):
    stored = chain_of(1).stored()
    for act in (services.pause, services.unpause, services.cancel, services.resume, services.run_again):
        with pytest.raises(NotAllowed, match="Only its owner and staff"):
            act(stored, by=ada)


def test_a_cancel_says_what_stops_and_what_does_not():
    workflow = new_workflow()
    first = [workflow.add_signature(signature(), key=f"k{i}") for i in range(3)]
    workflow.add_signature(signature(), first)
    hand = Hand(workflow)
    hand.take(1)[0].start()
    said = services.cancel(hand.stored(), by=None, name="me")
    assert str(said) == (
        "1 node will not be started; 2 queued jobs will not start; 1 running job asked to stop: at the next progress call, "
        "or by ending the process after the grace period."
    )


def test_without_redis_nothing_is_promised(monkeypatch):
    stored = chain_of(1).stored()

    def away(*_: Any) -> Any:
        raise redis.Error("away")

    monkeypatch.setattr(scripts, "run", away)
    with pytest.raises(EngineUnavailable):
        services.cancel(stored, by=None)


def test_a_job_that_is_cancelled_by_itself_fails_the_workflow():
    hand = chain_of(2)
    run = hand.take_one()
    hand.record()
    cancellation.request(run.job, "me")
    stored = hand.stored()
    assert (stored.state, stored.node_states) == ("FAILURE", "cb")


def test_a_workflow_that_takes_too_long_is_cancelled_and_ends_as_error():
    hand = chain_of(2)
    run = hand.take_one()
    run.start()
    hand.record()
    StoredWorkflow.objects.filter(pk=hand.id).update(deadline_at=timezone.now() - timedelta(seconds=1))
    assert sweeper.sweep() == 1
    sweeper.sweep()
    assert cancellation.requested(run.job)["by"] == services.TIMEOUT
    run.end("cancelled")
    stored = hand.stored()
    assert (stored.state, stored.node_states) == ("ERROR", "cc")
    assert stored.error == "The workflow was processed for too long."


def test_handlers_run_once_and_also_after_a_cancel_while_paused():
    workflow = new_workflow()
    workflow.add_signature(signature(), key="work")
    workflow.finalizer(signature("hand.final"))
    hand = Hand(workflow)
    run = hand.take_one()
    services.pause(hand.stored(), by=None)
    services.cancel(hand.stored(), by=None)
    assert run.start() is not None
    run.end("cancelled")
    final = hand.take_one()
    assert final.headers["task"] == "hand.final"
    final.whole()
    assert hand.stored().state == "CANCELLED"


# --- resume and run again ---------------------------------------------------------------------------------------------


def test_resume_runs_the_failed_node_and_what_follows_alone():
    workflow = new_workflow()
    root = workflow.add_signature(signature(), key="root")
    bad = workflow.add_signature(signature("hand.task", root.result), [root], key="bad")
    other = workflow.add_signature(signature(), [root], key="other")
    workflow.add_signature(signature("hand.task", bad.result, other.result), key="end")
    hand = Hand(workflow)
    hand.take_one().whole(value="root")
    for run in hand.take():
        run.whole("failed" if run.node == "1" else "succeeded", "other")
    stored = hand.stored()
    assert (stored.state, stored.node_states) == ("FAILURE", "sfsb")
    again = services.resume(stored, by=None, changes={"bad": {"args": ["changed"], "kwargs": {"x": 1}}})
    assert [node.key for node in again] == ["bad"]
    run = hand.take_one()
    assert (run.args, run.kwargs) == (["changed"], {"x": 1})
    run.whole(value="good")
    end = hand.take_one()
    assert end.args == ["good", "other"]
    end.whole()
    stored = hand.stored()
    assert (stored.state, stored.node_states, stored.epoch) == ("SUCCESS", "ssss", 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"nobody": {}}, "no node “nobody” with arguments. There are: k0"),
        ({"k0": {"task": "x"}}, "only args and kwargs can be changed, not task"),
        ({"k0": {"args": "text"}}, "args must be a JSON list"),
    ],
)
def test_changes_that_are_impossible_name_the_node(changes, message):
    hand = chain_of(1)
    hand.take_one().whole("failed")
    with pytest.raises(NotNow, match=message):
        services.resume(hand.stored(), by=None, changes=changes)


def test_a_workflow_run_again_is_a_new_one_with_jobs_of_its_own(ada):
    workflow = new_workflow()
    workflow.add_signature(signature("hand.task", 1), key="one")
    hand = Hand(workflow, owner=ada, payload={"p": 1})
    first = hand.take_one()
    first.whole()
    from django.test import TestCase

    with TestCase.captureOnCommitCallbacks(execute=True):
        again = services.run_again(hand.stored(), by=ada, changes={"one": {"args": [2]}}, note="once more")
    run = hand.take_one()
    assert run.args == [2]
    assert run.job != first.job
    assert (again.rerun_of_id, again.owner, again.payload, again.note) == (hand.id, ada, {"p": 1}, "once more")


def test_a_late_word_of_an_earlier_life_changes_nothing():
    hand = chain_of(1)
    hand.take_one().whole("failed")
    services.resume(hand.stored(), by=None)
    store.ended(hand.id, {"state": "FAILURE", "at": redis.now(), "epoch": 1})
    assert hand.stored().state == State.RUNNING
    hand.take_one().whole()
    assert hand.stored().state == State.SUCCESS


def test_one_trace_holds_all_nodes_also_after_a_resume(monkeypatch):
    header = f"00-{'a' * 32}-{'b' * 16}-01"
    monkeypatch.setattr(traces, "begin", lambda name, **_: header)
    hand = chain_of(2)
    run = hand.take_one()
    assert run.headers["traceparent"] == header
    run.whole("failed")
    services.resume(hand.stored(), by=None)
    hand.take_one().whole()
    assert hand.take_one().headers["traceparent"] == header


def test_a_resumed_workflow_that_redis_forgets_does_not_take_results_of_its_earlier_life():
    hand = chain_of(2)
    hand.take_one().whole(value="old")
    hand.take_one().whole("failed")
    services.resume(hand.stored(), by=None, changes={"k0": {"args": [1]}})
    stored = hand.stored()
    hand.forget()
    loader.load(stored, stored.read_graph(), loader.snapshot_of(stored))
    run = hand.take_one()
    assert (run.node, run.args) == ("0", [1])
    run.whole()
    run = hand.take_one()
    assert run.node == "1", "that it failed in its earlier life is over"
    run.whole()
    assert hand.stored().state == State.SUCCESS


def test_items_of_an_earlier_life_count_only_if_they_were_kept():
    hand = fan_out()
    hand.take_one().whole(value=["a", "b"])
    for run in hand.take():
        run.whole("failed" if run.args[1] == "b" else "succeeded", "old")
    services.resume(hand.stored(), by=None, changes={"numbers": {"args": [1]}})
    hand.take_one().whole(value=["c", "d"])
    stored = hand.stored()
    hand.forget()
    loader.load(stored, stored.read_graph(), loader.snapshot_of(stored))
    runs = hand.take()
    assert [run.args for run in runs] == [[10, "c"], [10, "d"]]
    for run in runs:
        run.whole(value="new")
    assert hand.take_one().args == [["new", "new"]]


# --- what is said twice, late or never --------------------------------------------------------------------------------


def test_a_message_delivered_twice_runs_once():
    hand = chain_of(1)
    run = hand.take_one()
    twin = type(run)({"headers": run.headers, "body": "[[], {}, {}]"})
    assert run.start() is None
    assert twin.start() == REPEATED
    run.end()
    assert twin.start() == REPEATED


def test_a_task_that_may_run_twice_runs_again_when_its_message_comes_again():
    hand = chain_of(1)
    run = hand.take_one()
    twin = type(run)({"headers": run.headers, "body": "[[], {}, {}]"}, may_rerun=True)
    assert run.start() is None
    assert twin.start() is None
    twin.end()
    run.end("failed")
    assert hand.node_states() == {"0": "s"}


def test_a_second_message_of_a_task_that_may_run_twice_is_one_too_many():
    hand = chain_of(1)
    message = hand.take_one()
    run = type(message)({"headers": message.headers, "body": "[[], {}, {}]"}, may_rerun=True)
    other = type(run)({"headers": {**run.headers, "dispatch": "2"}, "body": "[[], {}, {}]"}, may_rerun=True)
    assert run.start() is None
    assert other.start() == REPEATED
    run.writer("retrying", run.job, {"execution": run.request.execution.id, "retries": 0})
    assert other.start() is None


def test_the_message_of_a_node_that_gave_its_place_away_starts_nothing_any_more():
    hand = chain_of(1)
    message = hand.take_one()
    run = type(message)({"headers": message.headers, "body": "[[], {}, {}]"}, may_rerun=True)
    assert run.start() is None
    run.writer("waiting", run.job, {"execution": run.request.execution.id, "lock": "", "holder": ""})
    events.note_replaced(run.job, run.headers["dispatch"])
    again = type(run)({"headers": run.headers, "body": "[[], {}, {}]"}, may_rerun=True)
    heir = type(run)({"headers": {**run.headers, "dispatch": "replacement-1"}, "body": "[[], {}, {}]"}, may_rerun=True)
    assert again.start() == REPEATED
    assert heir.start() is None
    assert again.start() == REPEATED
    heir.end()
    assert hand.node_states() == {"0": "s"}


def test_a_node_that_gave_its_place_away_begins_again_when_the_workflow_is_resumed():
    hand = chain_of(1)
    run = hand.take_one()
    run.start()
    run.writer("waiting", run.job, {"execution": run.request.execution.id, "lock": "", "holder": ""})
    events.note_replaced(run.job, run.headers["dispatch"])
    run.writer("replaced", run.job, {"execution": run.request.execution.id})
    assert hand.node_states() == {"0": "r"}
    heir = type(run)({"headers": {**run.headers, "dispatch": "replacement-1"}, "body": "[[], {}, {}]"})
    heir.whole("failed")
    assert hand.stored().state == "FAILURE"
    services.resume(hand.stored(), by=None)
    again = hand.take_one()
    assert again.headers["dispatch"] == run.headers["dispatch"]
    assert again.start() is None


def test_a_retry_goes_back_to_its_queue():
    hand = chain_of(1)
    run = hand.take_one()
    run.start()
    run.writer("retrying", run.job, {"execution": run.request.execution.id, "retries": 0})
    assert hand.node_states() == {"0": "q"}
    assert hand.stored().node_states == "q"
    twin = type(run)({"headers": run.headers, "body": "[[], {}, {}]"})
    assert twin.start() is None
    twin.end()
    assert hand.stored().state == "SUCCESS"


def test_an_end_that_only_celery_knows_is_found(patient):
    from celery import current_app

    workflow = new_workflow()
    one = workflow.add_signature(signature(), key="one")
    workflow.add_signature(signature("hand.task", one.result["a"]), key="two")
    hand = Hand(workflow)
    run = hand.take_one()
    current_app.backend.store_result(run.job, {"a": 7}, "SUCCESS")
    hand.record()
    sweeper.sweep()
    sweeper.sweep()
    assert hand.take_one().args == [7]


def test_a_failure_that_only_celery_knows_is_found(patient):
    from celery import current_app

    hand = chain_of(2)
    current_app.backend.store_result(hand.take_one().job, ValueError("there"), "FAILURE")
    hand.record()
    sweeper.sweep()
    sweeper.sweep()
    assert hand.stored().state == "FAILURE"


def test_a_message_that_no_one_has_is_sent_again(patient):
    workflow = new_workflow()
    workflow.add_signature(signature("demo.add"))
    hand = Hand(workflow)
    hand.take_one()  # and the worker that took it is killed before it said so
    hand.record()
    for _ in range(4):
        sweeper.sweep()
    hand.take_one().whole()
    assert hand.stored().state == "SUCCESS"


def test_a_message_of_a_foreign_task_is_not_sent_again_as_no_one_knows_whether_it_runs(patient):
    hand = chain_of(1)
    hand.take_one()
    hand.record()
    for _ in range(4):
        sweeper.sweep()
    assert not hand.take()
    assert hand.node_states() == {"0": "q"}


def test_a_message_that_waits_is_not_sent_again(patient):
    hand = chain_of(1)
    hand.record()
    for _ in range(4):
        sweeper.sweep()
    assert len(hand.take()) == 1


def test_what_waits_for_another_broker_is_remembered_between_rounds(monkeypatch):
    hand = chain_of(1)
    hand.record()
    redis.client().sadd(keys.workflow(hand.id, "o"), "0")
    sent = []
    monkeypatch.setattr(sweeper.effects, "send", lambda workflow_id, node: sent.append((workflow_id, node)))
    sweeper.sweep()
    assert not sent, "nothing is believed at first sight"
    sweeper._suspects.seen[f"{hand.id}:o"]["0"].since -= sweeper.settings.SILENT_AFTER
    sweeper.sweep()
    assert sent == [(hand.id, "0")]
    hand.take_one().whole()
    hand.record()
    sweeper.sweep()
    assert not sweeper._suspects.seen, "of a workflow that has ended nothing stays"


def test_a_workflow_that_redis_forgot_is_made_again(patient):
    hand = chain_of(2)
    hand.take_one().whole()
    hand.record()
    hand.forget()
    assert sweeper.sweep() == 1
    run = hand.take_one()
    assert run.node == "1"
    run.whole()
    stored = hand.stored()
    assert (stored.state, stored.epoch) == ("SUCCESS", 2)


def test_a_cancelled_workflow_that_redis_forgot_begins_nothing(patient):
    hand = chain_of(3)
    run = hand.take_one()
    run.start()
    services.cancel(hand.stored(), by=None)
    hand.record()
    hand.forget()
    redis.client().delete(redis.key("cancel", run.job))
    sweeper.sweep()
    assert not hand.take()
    assert cancellation.requested(run.job), "the running job is asked once more"
    run.end("cancelled")
    assert hand.stored().state == "CANCELLED"


def test_a_workflow_that_was_never_begun_is_begun(patient):
    workflow = new_workflow()
    workflow.add_signature(signature())
    workflow.freeze()
    services.start(workflow)  # and killed before the transaction's hooks ran
    assert sweeper.sweep() == 1
    assert redis.client().llen("hand") == 1


def test_a_workflow_that_ended_without_a_word_is_ended_in_the_database(patient):
    hand = chain_of(1)
    hand.record()
    hand.take_one().whole()
    redis.client().delete(redis.key("events"))  # what was reported is lost
    for _ in range(3):
        sweeper.sweep()
    assert StoredWorkflow.objects.get(pk=hand.id).state == "SUCCESS"


def test_an_unknown_state_or_node_harms_nothing():
    hand = chain_of(1)
    hand.record()
    store.set_node_states(hand.id, {"7": "s", "0.1": "s"})
    store.set_node_states("nobody", {"0": "s"})
    assert hand.stored().node_states == "q"
    assert hand.stored().counts == {"q": 1}


def test_for_another_broker_messages_are_sent_by_celery(monkeypatch):
    """Where the broker is not the Redis of the scripts, the worker that advanced the workflow sends."""
    monkeypatch.setattr(loader, "lists", lambda: None)
    workflow = new_workflow()
    one = workflow.add_signature(signature(), key="one")
    workflow.add_signature(signature("hand.task", one.result, x=[one.result]), key="two", priority=3, expires=60)
    hand = Hand(workflow)
    hand.take_one().whole(value="r")
    queue = next(name for name in redis.client().keys("hand*"))
    import json

    message = json.loads(str(redis.client().rpop(queue)))
    assert message["headers"]["workflow"] == hand.id
    assert message["headers"]["node"] == "1"
    assert message["headers"]["expires"]
    assert message["properties"]["priority"] == 3
    assert not redis.client().smembers(keys.workflow(hand.id, "o"))


# --- moments ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["countdown", "eta"])
def test_a_node_that_waits_for_its_time_is_scheduled(by):
    options = {"countdown": 600} if by == "countdown" else {"eta": timezone.now() + timedelta(hours=1)}
    workflow = new_workflow()
    workflow.add_signature(signature(), key="later", **options)
    workflow.add_signature(signature(), key="now")
    hand = Hand(workflow)
    hand.record()
    later, now = Job.objects.filter(workflow_id=hand.id).order_by("node")
    assert (later.state, now.state) == ("scheduled", "queued")
    assert later.run_after > timezone.now() + timedelta(seconds=500)
    assert {run.index for run in hand.take()} == {1}
    assert delayed.kept([later.pk, now.pk]) == {later.pk}
    redis.client().zadd(redis.key("later"), {later.pk: 0})
    delayed.release(current_app)
    message = next(run for run in hand.take() if run.index == 0)
    assert message.headers["eta"] == later.run_after.isoformat().replace("+00:00", message.headers["eta"][-6:])


# --- done by someone's word -------------------------------------------------------------------------------------------


def test_what_is_said_to_be_done_stands_although_something_before_it_runs_again():
    workflow = new_workflow()
    bad = workflow.add_signature(signature(), key="bad")
    notified = workflow.add_signature(signature("hand.task", bad.result), [bad], key="notified")
    beside = workflow.add_signature(signature(), [bad], key="beside")
    workflow.add_signature(signature("hand.task", notified.result), [notified, beside], key="last")
    hand = Hand(workflow)
    hand.take_one().whole("failed")
    again = services.resume(hand.stored(), by=None, done={"notified": "by hand"})
    assert [node.key for node in again] == ["bad"]
    assert hand.node_states() == {"0": "q", "1": "s"}
    hand.take_one().whole(value=1)
    run = hand.take_one()
    assert run.index == 2
    run.whole()
    last = hand.take_one()
    assert (last.index, last.args) == (3, ["by hand"])
    last.whole()
    assert hand.stored().state == "SUCCESS"


def test_what_follows_only_what_is_done_is_kept():
    workflow = new_workflow()
    bad = workflow.add_signature(signature(), key="bad")
    notified = workflow.add_signature(signature(), key="notified")
    notified.add_dependency(bad, {"when": "always"})
    after = workflow.add_signature(signature(), key="after")
    after.add_dependency(notified, {"when": "always"})
    hand = Hand(workflow)
    hand.take_one().whole("failed")
    hand.take_one().whole("failed")
    hand.take_one().whole(value=3)
    services.resume(hand.stored(), by=None, done={"notified": 2})
    assert hand.node_states() == {"0": "q", "1": "s", "2": "s"}
    hand.take_one().whole()
    assert hand.stored().state == "SUCCESS"


def test_the_end_of_an_earlier_life_is_not_taken_for_the_next(patient):
    from celery import current_app

    hand = chain_of(2)
    run = hand.take_one()
    run.whole("failed")
    current_app.backend.store_result(run.job, ValueError("as asked"), "FAILURE")
    services.resume(hand.stored(), by=None)
    for _ in range(3):
        sweeper.sweep()
    assert hand.node_states() == {"0": "q"}


def test_a_workflow_that_was_quicker_than_its_time_limit_has_no_error():
    """The database says that it took too long before the engine hears of it; the last node may end in between."""
    hand = chain_of(1)
    StoredWorkflow.objects.filter(pk=hand.id).update(error="The workflow was processed for too long.")
    hand.take_one().whole()
    hand.record()
    assert (hand.stored().state, hand.stored().error) == (State.SUCCESS, "")

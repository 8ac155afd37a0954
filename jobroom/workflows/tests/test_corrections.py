"""What was taken for lost and succeeded: corrected for the node, for those that wait for it, and for the workflow."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from jobroom import events, redis
from jobroom.jobs.models import Job
from jobroom.workflows import receivers, services
from jobroom.workflows.engine import keys
from jobroom.workflows.engine.keys import NodeState
from jobroom.workflows.models import State, StoredWorkflow
from jobroom.workflows.repair import sweeper, verification
from jobroom.workflows.tests.hand import Hand, new_workflow, signature
from jobroom.workflows.workflows import ITEM_HERE

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quick_repairs")]


def graph() -> Any:
    """Return a workflow: a frozen node with a chain behind it, and beside it one that keeps the workflow running."""
    workflow = new_workflow()
    frozen = workflow.add_signature(signature(), key="frozen")
    after = workflow.add_signature(signature("hand.task", frozen.result), key="after")
    last = workflow.add_signature(signature(), [after], key="last")
    beside = workflow.add_signature(signature(), key="beside")
    workflow.add_signature(signature(), [last, beside], key="end")
    return workflow


def test_what_was_blocked_goes_on_when_the_frozen_worker_says_its_word():
    hand = Hand(graph())
    frozen, beside = hand.take()
    frozen.start()
    beside.start()
    hand.lose(frozen)
    assert hand.node_states() == {"0": "l", "1": "b", "2": "b", "3": "r", "4": "b"}
    frozen.end(value=7)
    assert hand.node_states() == {"0": "s", "1": "q", "3": "r"}
    after = hand.take_one()
    assert after.args == [7]
    after.whole()
    hand.take_one().whole()
    beside.end()
    hand.take_one().whole()
    stored = hand.stored()
    assert (stored.state, stored.node_states) == ("SUCCESS", "sssss")


def test_a_node_with_another_reason_stays_blocked():
    workflow = new_workflow()
    parents = [workflow.add_signature(signature(), key=f"k{i}") for i in range(2)]
    workflow.add_signature(signature(), parents, key="both")
    any_of = workflow.add_signature(signature(), parents, key="any").set(join="any")
    workflow.add_signature(signature(), [any_of], key="after any")
    workflow.add_signature(signature(), key="beside")
    hand = Hand(workflow)
    frozen, failed, beside = hand.take()
    for run in (frozen, failed, beside):
        run.start()
    failed.end("failed")
    hand.lose(frozen)
    assert hand.node_states() == {"0": "l", "1": "f", "2": "b", "3": "b", "4": "b", "5": "r"}
    frozen.end()
    assert hand.node_states() == {"0": "s", "1": "f", "2": "b", "3": "q", "5": "r"}


def test_items_of_a_fan_out_are_corrected_too():
    workflow = new_workflow()
    numbers = workflow.add_signature(signature(), key="numbers")
    each = workflow.add_fan_out(signature("hand.each", ITEM_HERE), numbers, key="each")
    workflow.add_signature(signature("hand.task", each.result), key="after")
    workflow.add_signature(signature(), key="beside")
    hand = Hand(workflow)
    first, beside = hand.take()
    beside.start()
    first.whole(value=[1, 2])
    one, two = hand.take()
    one.start()
    two.whole(value="b")
    hand.lose(one)
    assert hand.node_states()["1"] == "f"
    one.end(value="a")
    run = hand.take_one()
    assert run.args == [["a", "b"]]
    run.whole()
    beside.end()
    stored = hand.stored()
    assert (stored.state, stored.node_states) == ("SUCCESS", "ssss")


def test_a_workflow_that_has_failed_by_such_a_loss_goes_on():
    workflow = new_workflow()
    frozen = workflow.add_signature(signature(), key="frozen")
    workflow.add_signature(signature("hand.task", frozen.result), key="after")
    hand = Hand(workflow)
    run = hand.take_one()
    run.start()
    hand.lose(run)
    assert hand.stored().state == State.FAILURE
    run.end(value=3)
    assert hand.stored().node_states == "sb"
    assert verification.prove() == 1
    assert hand.stored().state == State.RUNNING
    after = hand.take_one()
    assert after.args == [3]
    after.whole()
    assert hand.stored().state == State.SUCCESS
    assert verification.prove() == 0


def test_a_workflow_whose_last_node_was_lost_and_ended_well_has_succeeded():
    hand = Hand(_single())
    run = hand.take_one()
    run.start()
    hand.lose(run)
    assert hand.stored().state == State.FAILURE
    run.end()
    hand.record()
    verification.prove()
    assert hand.stored().state == State.SUCCESS


def _single() -> Any:
    workflow = new_workflow()
    workflow.add_signature(signature(), key="only")
    return workflow


def test_node_states_are_proven_against_the_jobs_once_for_each_life():
    hand = Hand(_single())
    run = hand.take_one()
    run.whole("failed")
    stored = hand.stored()
    assert verification.prove() == 0
    assert verification.proofs.done == {hand.id: 1}
    Job.objects.filter(workflow_id=hand.id).update(state="succeeded")  # and no one has notified the workflow
    assert verification.prove() == 0, "proven already"
    receivers._nodes([(hand.id, "0", "failed", run.job)])
    assert verification.prove() == 1
    assert (hand.stored().node_states, hand.stored().state) == (NodeState.SUCCEEDED, State.SUCCESS)
    assert stored.node_states == NodeState.FAILED


def test_states_that_a_killed_recorder_has_not_written_down_are_proven_too():
    workflow = new_workflow()
    first = workflow.add_signature(signature())
    workflow.add_signature(signature(), [first])
    hand = Hand(workflow)
    for _ in range(2):
        hand.take_one().whole("succeeded")
    assert (hand.stored().node_states, hand.stored().state) == ("ss", State.SUCCESS)
    for states in ("rw", "qs", "sw"):
        StoredWorkflow.objects.filter(pk=hand.id).update(node_states=states)
        verification.proofs.forget(hand.id)
        assert verification.prove() == 1
        assert (hand.stored().node_states, hand.stored().state) == ("ss", State.SUCCESS)
    assert hand.stored().counts == {"s": 2}


def test_a_node_whose_process_was_killed_and_whose_message_is_gone_is_sent_again():
    workflow = new_workflow()
    workflow.add_signature(signature("demo.add"))
    hand = Hand(workflow)
    run = hand.take_one()
    run.writer.may_rerun = True
    run.start()
    hand.record()
    for _ in range(3):
        assert sweeper.sweep() == 0, "a running job holds its message"
    events.emit(
        "retrying", run.job, execution=None, retries=0, eta=None,
        error="Its process was killed.", error_type="WorkerLost", traceback="",
    )  # fmt: skip
    hand.record()
    assert [sweeper.sweep(), sweeper.sweep()] == [0, 1], "one look may be in the middle of a move"
    again = hand.take_one()
    assert again.job == run.job
    again.whole()
    assert hand.stored().state == State.SUCCESS


# --- what is due -------------------------------------------------------------------------------------------------------


def test_a_workflow_whose_time_is_over_is_given_up_at_the_next_glance():
    workflow = _single()
    workflow.set_max_processing_time(0)
    hand = Hand(workflow)
    run = hand.take_one()
    run.start()
    verification.glance()
    stored = hand.stored()
    assert stored.error == "The workflow was processed for too long."
    run.end()
    assert hand.stored().state == State.ERROR
    assert not redis.client().zcard(keys.due())


def test_a_workflow_that_cannot_be_looked_at_holds_up_no_other(monkeypatch):
    broken, other = Hand(_single()), Hand(_single())
    for hand in (broken, other):
        redis.client().zadd(keys.due(), {hand.id: 1})
        redis.client().sadd(keys.foreign(), hand.id)
    seen = []

    def look(stored, *args):
        if stored.pk == broken.id:
            raise ValueError("no such state")
        seen.append(stored.pk)

    monkeypatch.setattr(verification, "_over", look)
    monkeypatch.setattr(sweeper.Round, "foreign_ends", lambda self: look(self.stored))
    verification.glance()
    assert seen == [other.id, other.id]
    StoredWorkflow.objects.update(state=State.FAILURE, finished_at=timezone.now() - timedelta(seconds=60))
    monkeypatch.setattr(verification, "_prove", lambda stored: look(stored) or True)
    assert verification.prove() == 1


def test_a_resume_gives_new_time():
    hand = Hand(_single())
    hand.take_one().whole("failed")
    StoredWorkflow.objects.filter(pk=hand.id).update(deadline_at=timezone.now() - timedelta(seconds=5))
    services.resume(hand.stored(), by=None)
    verification.glance()
    assert hand.stored().state == State.RUNNING
    assert redis.client().zscore(keys.due(), hand.id) > redis.now()


def test_an_approval_that_no_one_makes_is_decided_at_the_next_glance():
    workflow = new_workflow()
    asked = workflow.add_approval("ok?", timeout=0, on_timeout="approve")
    workflow.add_signature(signature(), [asked])
    hand = Hand(workflow)
    assert hand.node_states() == {"0": "a"}
    verification.glance()
    assert hand.node_states() == {"0": "s", "1": "q"}


def test_a_node_in_a_foreign_worker_is_ended_at_the_next_glance():
    from celery import current_app

    hand = Hand(_single())
    verification.glance()
    assert hand.node_states() == {"0": "q"}
    current_app.backend.store_result(hand.take_one().job, 4, "SUCCESS")
    verification.glance()
    assert hand.stored().state == State.SUCCESS
    verification.glance()
    assert not redis.client().smembers(keys.foreign())


def test_one_workflow_that_cannot_be_looked_after_does_not_keep_others_from_it(monkeypatch, caplog):
    bad, good = Hand(_single()), Hand(_single())
    good.forget()
    work = sweeper.Round.work

    def breaks(self: Any) -> bool:
        if self.stored.pk == bad.id:
            raise ValueError("broken")
        return bool(work(self))

    monkeypatch.setattr(sweeper.Round, "work", breaks)
    assert sweeper.sweep() == 1
    assert f"looking after workflows: workflow {bad.id} could not be processed" in caplog.text


# --- added beside a member of a group ----------------------------------------------------------------------------------


def test_a_member_of_a_group_adds_another_whose_result_comes_behind_the_others():
    from celery import chain, group

    following = signature("hand.total", 9)
    following.immutable = False
    workflow = new_workflow()
    workflow.add_celery_canvas(chain(group(signature(), signature()), following))
    hand = Hand(workflow)
    one, two = hand.take()
    one.start()
    result = one.writer.add_beside(signature("hand.extra", 5), lazy=False)
    lazy = one.writer.add_beside(signature("hand.later", 6), lazy=True)
    extra = hand.take_one()
    assert (extra.headers["task"], extra.args, extra.job, extra.node) == ("hand.extra", [5], result.id, "3")
    hand.record()
    one.end(value=1)
    two.whole(value=2)
    assert not hand.take(), "what follows waits for those that were added"
    extra.whole(value=3)
    later = type(extra)(
        {"headers": {"id": lazy.id, "task": lazy.task, **lazy.options["headers"]}, "body": "[[], {}, {}]"}
    )
    later.whole(value=4)
    last = hand.take_one()
    assert last.args == [[1, 2, 3, 4], 9]
    last.whole(value=10)
    stored = hand.stored()
    assert (stored.state, stored.node_states, stored.total, stored.result) == ("SUCCESS", "sssss", 5, 10)
    graph_now = stored.read_graph()
    assert [node.task for node in graph_now.nodes[3:]] == ["hand.extra", "hand.later"]
    assert {parent for parent, _ in graph_now.nodes[2].parents} == {0, 1, 3, 4}
    graph_now.check()


def test_where_nothing_gathers_results_nothing_can_be_added():
    workflow = new_workflow()
    first = workflow.add_signature(signature())
    workflow.add_signature(signature("hand.task", first.result))
    hand = Hand(workflow)
    run = hand.take_one()
    run.start()
    with pytest.raises(ValueError, match="no member of a group that something follows"):
        run.writer.add_beside(signature(), lazy=False)

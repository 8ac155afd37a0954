"""At most so many jobs of a fan-out, or members of a group, at a time."""

from typing import Any

import pytest
from celery import group
from celery.result import AsyncResult

from jobroom import redis
from jobroom.jobs.models import Job
from jobroom.workflows import services
from jobroom.workflows.definitions.parser import WrongDefinition
from jobroom.workflows.definitions.recipe import Recipe
from jobroom.workflows.engine import keys
from jobroom.workflows.exceptions import WorkflowException
from jobroom.workflows.models import StoredWorkflow
from jobroom.workflows.repair import sweeper
from jobroom.workflows.tests.hand import Hand, new_workflow, signature

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _empty_redis():
    redis.client().flushdb()
    sweeper._suspects.seen.clear()


def limited(count: int = 5, most: int = 2) -> Hand:
    """Begin a fan-out over `count` items, `most` at a time, and what gathers their results; its list is there."""
    workflow = new_workflow()
    numbers = workflow.add_signature(signature(), key="numbers")
    each = workflow.add_fan_out(signature("hand.each"), numbers, key="each", limit=most)
    workflow.add_signature(signature("hand.last", each.result), key="last")
    hand = Hand(workflow)
    hand.take_one().whole(value=list(range(count)))
    return hand


def drain(hand: Hand, runs: list[Any], most: int) -> list[Any]:
    """Run all items, one after the other, and return what came last; never more than `most` are out."""
    out, last = list(runs), []
    while out:
        run = out.pop(0)
        if run.headers["task"] == "hand.last":
            last.append(run)
            continue
        run.whole(value=run.args[0] * 10)
        out += hand.take()
        assert len(out) <= most
    return last


def test_at_most_so_many_are_out_and_results_stay_in_order():
    hand = limited()
    runs = hand.take()
    assert [run.args for run in runs] == [[0], [1]]
    assert [node_state for node, node_state in sorted(hand.node_states().items()) if "." in node] == [
        "q",
        "q",
        "h",
        "h",
        "h",
    ]
    (last,) = drain(hand, runs, 2)
    assert last.args == [[0, 10, 20, 30, 40]]
    last.whole()
    assert hand.stored().state == "SUCCESS"
    left: Any = redis.client().keys(keys.workflow(hand.id, "v") + "*")
    assert left == []


def test_one_at_a_time_and_none():
    (last,) = drain(hand := limited(3, 1), hand.take(), 1)
    assert last.args == [[0, 10, 20]]
    assert limited(0).take_one().args == [[]]


def test_a_failed_or_twice_reported_end_gives_its_place_once():
    hand = limited(6)
    first, second = hand.take()
    first.whole("failed")
    first.end("failed")
    (third,) = hand.take()
    second.whole(value=0)
    (fourth,) = hand.take()
    assert (third.args, fourth.args) == ([2], [3])
    drain(hand, [third, fourth], 2)
    assert hand.stored().node_states == "sfb"


def test_a_retry_keeps_its_place():
    hand = limited()
    first, _second = hand.take()
    first.start()
    first.writer("retrying", first.job, {"execution": first.request.execution.id, "retries": 1})
    assert hand.take() == []


def test_a_pause_gives_no_place_and_going_on_does():
    hand = limited()
    runs = hand.take()
    services.pause(hand.stored(), by=None)
    for run in runs:
        run.whole(value=1)
    assert hand.take() == []
    services.unpause(StoredWorkflow.objects.get(pk=hand.id), by=None)
    assert [run.args for run in hand.take()] == [[2], [3]]


def test_a_cancel_ends_those_that_wait_and_starts_none():
    hand = limited()
    running = hand.take()[0]
    running.start()
    services.cancel(hand.stored(), by=None, name="me")
    assert hand.take() == []
    running.end("cancelled")
    assert hand.take() == []
    assert hand.stored().state == "CANCELLED"
    assert [node_state for node, node_state in hand.node_states().items() if "." in node] == ["c"] * 5


def test_redis_may_forget_it():
    hand = limited(6)
    first, second = hand.take()
    first.whole(value=0)
    second.start()
    hand.record()
    hand.forget()
    StoredWorkflow.objects.filter(pk=hand.id).update(started_at="2020-01-01T00:00:00Z")
    sweeper.sweep()
    (third,) = hand.take()
    assert third.args == [2], "one place is taken by what runs"
    second.end(value=10)
    (last,) = drain(hand, [third, *hand.take()], 2)
    assert last.args == [[0, 10, 20, 30, 40, 50]]


def test_a_resume_keeps_what_succeeded_and_the_limit():
    hand = limited(5)
    first, second = hand.take()
    first.whole("failed")
    drain(hand, [second, *hand.take()], 2)
    assert hand.stored().node_states == "sfb"
    services.resume(hand.stored(), by=None)
    assert hand.take_one().args == [0]


def test_members_of_a_group_are_limited():
    workflow = new_workflow()
    nodes = workflow.add_celery_canvas(group(signature("hand.task", n) for n in range(5)))
    workflow.limit(nodes, 2)
    hand = Hand(workflow)
    order = []
    out = hand.take()
    while out:
        assert len(out) <= 2
        run = out.pop(0)
        order.append(run.args[0])
        run.whole("failed" if run.args[0] == 1 else "succeeded")
        out += hand.take()
    assert sorted(order) == list(range(5)), "a failure holds no one up"


def test_what_is_no_limit_is_refused():
    workflow = new_workflow()
    numbers = workflow.add_signature(signature(), key="numbers")
    for wrong in (0, -1, 1.5, True, "2"):
        with pytest.raises(WorkflowException, match="`limit` is a whole number"):
            workflow.add_fan_out(signature(), numbers, limit=wrong)


def test_a_definition_limits_too():
    text = (
        "name: x\nnodes:\n  a: {task: demo.add, args: [1, 2]}\n  b: {task: demo.log, each: '${a.result}', limit: 3}\n"
    )
    assert Recipe(text).build().graph.nodes[1].options["limit"] == 3
    with pytest.raises(WrongDefinition, match=r"`nodes\.a\.limit` is for a node with `each`"):
        Recipe("name: x\nnodes:\n  a: {task: demo.add, limit: 3}\n")


@pytest.mark.parametrize("most", [None, 1])
def test_others_can_be_given_single_items_of_a_fan_outs_result_also_after_a_loss_of_redis(most):
    workflow = new_workflow()
    numbers = workflow.add_signature(signature(), key="numbers")
    each = workflow.add_fan_out(signature("hand.each"), numbers, key="each", limit=most)
    workflow.add_signature(signature("hand.task", each.result[1], each.result[0]["a"], each.result), key="after")
    hand = Hand(workflow)
    hand.take_one().whole(value=[1, 2])
    values = {"0": {"a": [], "b": 1}, "1": [7]}
    for _ in range(2 if most else 1):
        for run in hand.take():
            run.whole(value=values[run.node.partition(".")[2]])
    expected = [[7], [], [values["0"], [7]]]
    assert hand.take_one().args == expected
    hand.record()
    hand.forget()
    StoredWorkflow.objects.filter(pk=hand.id).update(started_at="2020-01-01T00:00:00Z")
    sweeper.sweep()
    assert hand.take_one().args == expected


@pytest.mark.parametrize("most", [None, 1])
def test_items_are_counted_from_the_end_too_also_after_a_loss_of_redis(most):
    workflow = new_workflow()
    numbers = workflow.add_signature(signature(), key="numbers")
    each = workflow.add_fan_out(signature("hand.each"), numbers, key="each", limit=most)
    workflow.add_signature(signature("hand.task", each.result[-1], each.result[-2]["a/b"], each.result[0]), key="after")
    workflow.returns(each.result[-3]["a/b"])
    hand = Hand(workflow)
    hand.take_one().whole(value=[1, 2, 3])
    for _ in range(3 if most else 1):
        for run in hand.take():
            run.whole(value={"a/b": run.args[0]})
    expected = [{"a/b": 3}, 2, {"a/b": 1}]
    assert hand.take_one().args == expected
    hand.record()
    hand.forget()
    StoredWorkflow.objects.filter(pk=hand.id).update(started_at="2020-01-01T00:00:00Z")
    sweeper.sweep()
    last = hand.take_one()
    assert last.args == expected
    last.whole()
    assert AsyncResult(hand.id).get(timeout=1) == 1


@pytest.mark.parametrize(
    ("step", "count", "says"),
    [
        (2, 2, "no [2]; it is a list of 2."),
        (-3, 2, "no [-3]; it is a list of 2."),
        (-1, 0, "no [-1]; it is a list of 0."),
        ("total", 2, "no ['total']; it is a list of 2."),
    ],
)
def test_an_item_that_is_not_there_is_named(step, count, says):
    workflow = new_workflow()
    numbers = workflow.add_signature(signature(), key="numbers")
    each = workflow.add_fan_out(signature("hand.each"), numbers, key="each")
    workflow.add_signature(signature("hand.task", each.result[step]), key="after")
    hand = Hand(workflow)
    hand.take_one().whole(value=list(range(count)))
    for run in hand.take():
        run.whole(value=run.args[0])
    assert hand.stored().state == "FAILURE"
    assert Job.objects.get(workflow_id=hand.id, node="2").error.endswith(says)


def test_an_item_whose_result_cannot_be_sent_says_so_to_those_who_need_the_list():
    workflow = new_workflow()
    numbers = workflow.add_signature(signature(), key="numbers")
    each = workflow.add_fan_out(signature("hand.each"), numbers, key="each")
    workflow.add_signature(signature("hand.task", each.result), key="after")
    hand = Hand(workflow)
    hand.take_one().whole(value=[1, 2])
    for run in hand.take():
        run.whole(value=object() if run.args == [2] else 1)
    assert hand.stored().state == "FAILURE"
    assert "cannot be written as JSON" in Job.objects.get(workflow_id=hand.id, node="2").error

"""Writing workflows: what belongs to which, copies, options for all nodes, dictionaries, and the names of celery-dyrygent."""

import json
from typing import Any

import pytest
from celery import chain, group
from celery import signature as named
from django.db import transaction
from django.test import TestCase

from jobroom import redis
from jobroom.workflows import services
from jobroom.workflows.exceptions import WorkflowException
from jobroom.workflows.graph import as_reference
from jobroom.workflows.models import State, StoredWorkflow
from jobroom.workflows.nodes import WorkflowNode
from jobroom.workflows.tests.hand import Hand, new_workflow, signature
from jobroom.workflows.workflows import Workflow, WorkflowState

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _empty_redis():
    redis.client().flushdb()


@pytest.fixture
def heard(monkeypatch):
    """Return the signals that were emitted: name, id of the workflow, payload, finished, running."""
    found: list[Any] = []
    for name in Workflow.hooks:
        monkeypatch.setitem(
            Workflow.hooks,
            name,
            [lambda w, payload, name=name: found.append((name, payload, dict(w.finished), dict(w.running)))],
        )
    return found


# --- identity ----------------------------------------------------------------------------------------------------------


def _foreign() -> Any:
    other = Workflow(name="other")
    other.add_signature(signature(), key="first")
    return other.add_signature(signature(), key="theirs")


@pytest.mark.parametrize(
    "use",
    [
        lambda w, theirs: w.add_signature(signature(), [theirs]),
        lambda w, theirs: w.add_celery_canvas(chain(signature(), signature()), [theirs]),
        lambda w, theirs: w.add_fan_out(signature(), theirs),
        lambda w, theirs: w.add_fan_out(signature(), w.nodes[next(iter(w.nodes))], [theirs]),
        lambda w, theirs: w.add_approval("ok?", [theirs]),
        lambda w, theirs: w.add_workflow(new_workflow(), [theirs]),
        lambda w, theirs: w.nodes[next(iter(w.nodes))].add_dependency(theirs),
        lambda w, theirs: w.add_signature(signature("hand.task", theirs.result)),
        lambda w, theirs: w.add_signature(signature("hand.task", x={"deep": [theirs.result["a"]]})),
        lambda w, theirs: w.add_celery_canvas(group(signature("hand.task", theirs.result), signature())),
        lambda w, theirs: w.returns([theirs.result]),
    ],
)  # fmt: skip
def test_a_node_of_another_workflow_is_refused_by_name(use):
    workflow = new_workflow()
    workflow.add_signature(signature(), key="mine")
    workflow.add_signature(signature(), key="mine too")
    with pytest.raises(
        WorkflowException, match=r"“theirs”.* node of another workflow \(<workflow other>\).*add_workflow"
    ):
        use(workflow, _foreign())


# --- copies ------------------------------------------------------------------------------------------------------------


def test_the_same_signature_runs_as_often_as_it_stands_there():
    workflow, one = new_workflow(), signature()
    workflow.add_celery_canvas(group([one] * 3))
    workflow.add_signature(one)
    hand = Hand(workflow)
    runs = hand.take()
    assert len({run.job for run in runs}) == 4
    for run in runs:
        run.whole()
    assert hand.stored().state == "SUCCESS"


def test_the_same_workflow_may_be_placed_twice():
    inner, outer = new_workflow(), new_workflow()
    inner.add_signature(signature(), key="part")
    first = outer.add_workflow(inner, key="one")
    outer.add_workflow(inner, first.ends, key="two")
    hand = Hand(outer)
    hand.take_one().whole()
    hand.take_one().whole()
    assert hand.stored().node_states == "ss"


def test_sending_twice_is_refused_with_the_remedy():
    workflow = new_workflow()
    workflow.add_signature(signature())
    Hand(workflow)
    with pytest.raises(WorkflowException, match=r"was sent already.*run_again"):
        workflow.apply_async()
    with pytest.raises(WorkflowException, match=r"was sent already.*run_again"), transaction.atomic():
        services.start(Workflow.from_dict(workflow.to_dict()))


# --- options -----------------------------------------------------------------------------------------------------------


def test_options_for_all_nodes_reach_every_message():
    workflow = new_workflow()
    workflow.add_signature(signature().set(headers={"mine": 1}))
    hand = Hand(
        workflow, options={"expires": 600, "countdown": 20, "headers": {"trace": "abc"}, "priority": 3, "shadow": "s"}
    )
    (text,) = (redis.client().lindex(name, 0) for name in redis.client().keys("hand*"))
    headers = json.loads(str(text))["headers"]
    assert headers["expires"]
    assert headers["eta"]
    assert (headers["trace"], headers["mine"], headers["shadow"]) == ("abc", 1, "s")
    assert json.loads(str(text))["properties"]["priority"] == 3
    assert hand.id


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"routing_key": "x"}, "'routing_key' in common: give `queue`"),
        ({"link": signature()}, "'link' in common: link the signatures"),
        ({"task_id": "x"}, "'task_id' in common"),
        ({"colour": "red"}, "'colour' in common: there are countdown, eta, expires"),
    ],
)
def test_options_that_cannot_be_honoured_are_refused_by_name(options, message):
    workflow = new_workflow()
    workflow.add_signature(signature())
    with pytest.raises(WorkflowException, match=message):
        workflow.apply_async(options=options)
    assert not StoredWorkflow.objects.exists()


def test_an_option_of_a_signature_that_nodes_do_not_have_is_refused_by_name():
    with pytest.raises(WorkflowException, match="“task” has the option 'serializer', which nodes do not have"):
        new_workflow().add_signature(signature().set(serializer="pickle"))


def test_priorities_are_inherited_where_celery_is_set_so(monkeypatch):
    from celery import current_app

    def priorities() -> list[Any]:
        workflow = new_workflow()
        first = workflow.add_signature(signature().set(priority=5))
        urgent = workflow.add_signature(signature().set(priority=2))
        after = workflow.add_signature(signature(), [first, urgent])
        workflow.add_signature(signature().set(priority=9), [after])
        workflow.add_signature(signature(), [after])
        workflow.check()
        return [node.options.get("priority") for node in workflow.graph.nodes]

    assert priorities() == [5, 2, None, 9, None]
    monkeypatch.setitem(current_app.conf, "task_inherit_parent_priority", True)
    assert priorities() == [5, 2, 2, 9, 2]


# --- dictionaries ------------------------------------------------------------------------------------------------------


def test_a_dictionary_made_before_the_check_keeps_what_the_workflow_returns():
    workflow = Workflow()
    workflow.add_celery_canvas(chain(named("demo.add", (1, 1)), named("demo.add", (2,))))
    again = Workflow.from_dict(json.loads(json.dumps(workflow.to_dict())))
    again.check()
    workflow.check()
    assert as_reference(again.graph.result) == workflow.graph.result
    more = again.add_celery_canvas(named("demo.add", (5, 5)))
    again.check()
    assert again.graph.result.index == more[0].node.index, "the last canvas is what it returns"


DYRYGENT: dict[str, Any] = {
    "id": "w-1",
    "version": 1,
    "state": "INITIAL",
    "nodes": {
        "b": {
            "id": "b",
            "signature": {"task": "hand.second", "args": [1], "kwargs": {"x": 2}, "options": {"task_id": "b", "queue": "hand"}, "subtask_type": None, "immutable": True},
            "dependencies": {"a": None},
            "custom_payload": {"about": "two"},
        },
        "a": {
            "id": "a",
            "signature": {"task": "hand.first", "args": [], "kwargs": {}, "options": {"task_id": "a", "queue": "hand"}, "subtask_type": None, "immutable": True},
            "dependencies": {},
        },
    },
    "running": {}, "finished": {}, "processing_limit_ts": 17, "retry_policy": ["random", 3, 10],
    "tasks_options": {}, "workflow_options": {"queue": "x"}, "custom_payload": {"mine": 1},
    "stats": {"ticks": 4, "last_apply_async_tick": 9, "consecutive_celery_error_ticks": 0},
}  # fmt: skip


def test_a_dictionary_of_celery_dyrygent_is_understood():
    workflow = Workflow.from_dict(DYRYGENT)
    workflow.external = ("hand.*",)
    assert {node.id: node.dependencies for node in workflow.nodes.values()} == {"a": {}, "b": {"a": None}}
    assert workflow.nodes["b"].custom_payload == {"about": "two"}
    assert (workflow.stats["ticks"], workflow.processing_limit_ts, workflow.custom_payload) == (4, 17, {"mine": 1})
    hand = Hand(workflow)
    first = hand.take_one()
    assert (first.job, first.headers["task"]) == ("a", "hand.first")
    first.whole()
    assert hand.take_one().kwargs == {"x": 2}


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({}, "neither `graph` nor, as celery-dyrygent, `nodes`"),
        ({"nodes": {"a": {"id": "a"}}}, "needs `id` and `signature`"),
        ({"nodes": {"a": {**DYRYGENT["nodes"]["b"], "dependencies": {"gone": None}}}}, "waits for gone, which is not among"),
        ({"graph": {"nodes": [{}]}}, "cannot be read as a workflow"),
        ({"graph": None}, "cannot be read as a workflow"),
    ],
)  # fmt: skip
def test_a_broken_dictionary_says_what_is_missing(broken, message):
    with pytest.raises(WorkflowException, match=message):
        Workflow.from_dict(broken)


# --- names of celery-dyrygent ------------------------------------------------------------------------------------------


def test_nodes_are_made_of_frozen_signatures_and_go_into_dictionaries_and_workflows():
    one, two = signature(), signature("hand.two", 5)
    with pytest.raises(WorkflowException, match=r"has no id\. Freeze it"):
        WorkflowNode(one)
    one.freeze()
    two.freeze()
    first, second = WorkflowNode(one), WorkflowNode(two)
    second.custom_payload["about"] = "two"
    second.add_dependency(first)
    with pytest.raises(WorkflowException, match="depends on “task” already"):
        second.add_dependency(first)
    again = WorkflowNode.from_dict(json.loads(json.dumps(second.to_dict())))
    assert (again.id, again.dependencies, again.custom_payload) == (two.id, {one.id: None}, {"about": "two"})
    assert again.to_dict() == second.to_dict()
    workflow = new_workflow()
    with pytest.raises(WorkflowException, match="waits for nodes that are not here"):
        workflow.add_node(again)
    workflow.add_node(first)
    added = workflow.add_node(again)
    assert (added.dependencies, added.custom_payload) == ({one.id: None}, {"about": "two"})
    assert list(added.signature.args) == [5]


def test_a_tick_looks_after_the_workflow_and_brings_the_object_up_to_date():
    workflow = new_workflow()
    one = workflow.add_signature(signature())
    two = workflow.add_signature(signature(), [one])
    with pytest.raises(WorkflowException, match="was not sent yet"):
        workflow.tick()
    hand = Hand(workflow)
    assert workflow.tick()
    assert (workflow.running, workflow.finished, workflow.is_success()) == ({one.id: 1}, {}, False)
    hand.take_one().whole()
    assert workflow.tick()
    assert (workflow.running, workflow.finished) == ({two.id: 1}, {one.id: True})
    hand.take_one().whole()
    hand.record()
    assert not workflow.tick()
    assert (workflow.state, workflow.is_success(), workflow.stats["ticks"]) == ("SUCCESS", True, 3)


def test_countdowns_limits_and_states_are_those_of_celery_dyrygent(heard):
    workflow = new_workflow()
    workflow.add_signature(signature())
    workflow.set_retry_policy("random", 7, 7)
    assert workflow.get_retry_countdown() == 7
    workflow._active_tick = True
    assert workflow.get_retry_countdown() == 2
    workflow.set_max_processing_time(60)
    workflow.frozen()
    assert workflow.processing_limit_ts is not None
    workflow.check_processing_time()
    workflow.processing_limit_ts = 1
    with pytest.raises(WorkflowException, match="processed for too long"):
        workflow.check_processing_time()
    workflow.set_state(WorkflowState.RUNNING)
    workflow.set_state(WorkflowState.RUNNING)
    assert [(name, payload) for name, payload, *_ in heard] == [("on_state_change", "RUNNING")]


# --- signals -----------------------------------------------------------------------------------------------------------


def test_signals_come_in_the_order_of_celery_dyrygent_with_what_has_finished(heard):
    workflow = new_workflow()
    one = workflow.add_signature(signature())
    two = workflow.add_signature(signature(), [one])
    hand = Hand(workflow)
    hand.take_one().whole()
    hand.take_one().whole("failed")
    assert [(name, payload) for name, payload, *_ in heard] == [
        ("on_state_change", "RUNNING"), ("after_active_tick", None), ("after_active_tick", None),
        ("on_finish", None), ("on_state_change", "FAILURE"),
    ]  # fmt: skip
    assert heard[2][2:] == ({one.id: True}, {two.id: 1})
    assert heard[3][2:] == ({one.id: True, two.id: False}, {})
    assert hand.id


def test_pause_and_going_on_are_changes_of_state(heard):
    workflow = new_workflow()
    workflow.add_signature(signature())
    hand = Hand(workflow)
    heard.clear()
    with TestCase.captureOnCommitCallbacks(execute=True):
        services.pause(hand.stored(), by=None)
        services.unpause(hand.stored(), by=None)
    assert [(name, payload) for name, payload, *_ in heard] == [
        ("on_state_change", "PAUSED"),
        ("on_state_change", "RUNNING"),
    ]


def test_nothing_is_signalled_of_a_workflow_whose_transaction_was_rolled_back(heard):
    workflow = new_workflow()
    workflow.add_signature(signature())

    class Undo(Exception):
        pass

    def undone() -> None:
        with transaction.atomic():
            workflow.apply_async()
            raise Undo

    with TestCase.captureOnCommitCallbacks(execute=True), pytest.raises(Undo):
        undone()
    assert heard == []
    assert workflow.state == WorkflowState.INITIAL
    Hand(workflow)
    assert StoredWorkflow.objects.get(pk=workflow.id).state == State.RUNNING


# --- frozen ------------------------------------------------------------------------------------------------------------


class _Request:
    def __init__(self, steps: Any, chord: Any = None) -> None:
        self.chain, self.chord, self.group = steps, chord, None


def test_a_frozen_workflow_is_a_signature_whose_chain_becomes_part_of_it():
    workflow = new_workflow()
    one = workflow.add_signature(signature(), key="one")
    workflow.returns({"was": one.result})
    frozen = workflow.freeze()
    assert (frozen.task, frozen.id, frozen.immutable) == ("jobroom.workflows.begin", workflow.id, True)
    following = signature("hand.after", 9)
    following.immutable = False
    sent = Workflow.from_dict(json.loads(json.dumps(frozen.kwargs["workflow_dict"])))
    with TestCase.captureOnCommitCallbacks(execute=True):
        for _ in range(2):  # the message is delivered twice
            services.begin_frozen(sent, _Request([dict(following)]), owner=None)
    first, rest = json.loads(str(redis.client().rpop("hand"))), redis.client().llen("hand")
    assert (first["headers"]["task"], rest) == ("hand.task", 0)
    hand = Hand.__new__(Hand)
    hand.workflow, hand.id = sent, str(sent.id)
    from jobroom.jobs.recorder import Recorder
    from jobroom.workflows.tests.hand import Run

    hand.recorder = Recorder()
    Run(first).whole(value=4)
    after = hand.take_one()
    assert (after.headers["task"], after.args) == ("hand.after", [{"was": 4}, 9])
    after.whole()
    assert hand.stored().state == "SUCCESS"


def test_a_frozen_workflow_in_a_group_is_refused_with_the_remedy():
    workflow = new_workflow()
    workflow.add_signature(signature())
    workflow.freeze()
    with pytest.raises(WorkflowException, match=r"not a member of a group or a chord.*add_celery_canvas"):
        services.begin_frozen(workflow, _Request([], chord={"task": "x"}), owner=None)

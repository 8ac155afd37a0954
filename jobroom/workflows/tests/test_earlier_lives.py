"""What is recorded late, or twice: a recorder was killed before it had written what it read, or before it acknowledged it. The
workflow may have been resumed meanwhile.
"""

import random
from collections.abc import Callable
from typing import Any

import pytest
from celery import current_app
from hypothesis import given

from jobroom import events, redis
from jobroom.events.consumer import Entry, Lag
from jobroom.jobs.models import Job
from jobroom.jobs.recorder.loop import Recorder, _parsed
from jobroom.workflows import resumption, services
from jobroom.workflows.engine.keys import NodeState
from jobroom.workflows.exceptions import NotNow
from jobroom.workflows.models import StoredWorkflow
from jobroom.workflows.repair import sweeper, verification
from jobroom.workflows.tests.hand import Hand, new_workflow, signature
from jobroom.workflows.tests.test_properties import Player, player, quick, stories
from jobroom.workflows.workflows import Workflow

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quick_repairs")]


class Redelivered:
    """The entries of the stream, as a recorder has read them that was killed afterwards."""

    def __init__(self) -> None:
        found: Any = redis.client().xrange(events.stream())
        self.entries = [Entry(position, fields["e"]) for position, fields in found]

    def record(self) -> None:
        """Let another recorder write them down."""
        Recorder()._record(_parsed(self.entries))

    def pieces(self, chance: random.Random) -> "list[Redelivered]":
        """Take them off the stream; return them as batches of any size."""
        found = []
        while self.entries:
            piece = Redelivered.__new__(Redelivered)
            count = chance.randint(1, 4)
            piece.entries, self.entries = self.entries[:count], self.entries[count:]
            redis.client().xdel(events.stream(), *(entry.id for entry in piece.entries))
            found.append(piece)
        return found


def new_workflow_of_one() -> Workflow:
    """Return a workflow with one node."""
    workflow = new_workflow()
    workflow.add_signature(signature(), key="one")
    return workflow


def lost(hand: Hand) -> Redelivered:
    """Let the only node that waits run and be lost; return what was reported of it."""
    run = hand.take_one()
    run.start()
    hand.report_lost(run)
    found = Redelivered()
    assert hand.stored().state == "FAILURE"
    return found


def test_what_someone_has_declared_done_stays_done():
    workflow = new_workflow()
    once = workflow.add_signature(signature(), key="once")
    workflow.add_signature(signature(), [once], key="last")
    hand = Hand(workflow)
    late = lost(hand)
    services.resume(hand.stored(), by=None, done={"once": None})
    late.record()
    assert hand.stored().node_states[0] == "s"
    hand.take_one().whole()
    late.record()
    verification.prove()
    stored = hand.stored()
    assert (stored.state, stored.node_states) == ("SUCCESS", "ss")


def test_what_runs_again_is_not_ended_by_its_earlier_end():
    workflow = new_workflow()
    again = workflow.add_signature(signature(), key="again")
    workflow.add_signature(signature(), [again], key="last")
    hand = Hand(workflow)
    late = lost(hand)
    services.resume(hand.stored(), by=None)
    late.record()  # before anything of the new life is recorded
    assert hand.node_states()["0"] == "q"
    hand.take_one().whole()
    hand.take_one().whole()
    late.record()
    stored = hand.stored()
    assert (stored.state, stored.node_states) == ("SUCCESS", "ss")
    assert not Job.objects.filter(state="lost").exists()


def thawed(events_between: Callable[[Hand], None] = lambda hand: None) -> Hand:
    """Lose the second of two nodes to a frozen process, go on from the first, and let the process write to its log again."""
    workflow = new_workflow()
    first = workflow.add_signature(signature(), key="first")
    workflow.add_signature(signature(), [first], key="second")
    hand = Hand(workflow)
    hand.take_one().whole()
    frozen = hand.take_one()
    frozen.start()
    hand.lose(frozen)
    services.resume(hand.stored(), by=None, again=["first"])
    events_between(hand)
    events.emit("log", frozen.job, execution=frozen.request.execution.id, level="info", message="Awake again.")
    hand.record()
    return hand


def test_a_line_of_a_frozen_process_is_no_end_of_the_new_life():
    hand = thawed()
    hand.forget()
    StoredWorkflow.objects.filter(pk=hand.id).update(started_at="2020-01-01T00:00:00Z")
    sweeper.sweep()
    assert hand.node_states() == {"0": "q"}
    hand.take_one().whole()
    hand.take_one().whole()
    assert hand.stored().state == "SUCCESS"


def test_a_line_of_a_frozen_process_is_no_news_of_its_node():
    hand = thawed(lambda hand: hand.take_one().whole("failed"))
    assert (hand.stored().state, hand.stored().node_states) == ("FAILURE", "fb")


def test_what_was_blocked_in_an_earlier_life_waits_in_the_next():
    workflow = new_workflow()
    first = workflow.add_signature(signature(), key="first")
    second = workflow.add_signature(signature(), [first], key="second")
    workflow.add_approval("decision", [second])
    hand = Hand(workflow)
    hand.take_one().whole("failed")
    late = Redelivered()
    assert hand.stored().node_states == "fbb"
    services.resume(hand.stored(), by=None)
    late.record()
    assert hand.stored().node_states == "qww"


@pytest.mark.parametrize("end", [NodeState.FAILED, NodeState.LOST])
def test_a_recorder_that_stands_still_ends_nothing_in_the_next_life(monkeypatch, end):
    hand = Hand(new_workflow_of_one())
    hand.take_one().whole("failed")
    slow = []
    monkeypatch.setattr(sweeper, "confirm_ends", lambda *said: slow.append(said))
    assert hand.stored().state == "FAILURE"  # recorded, and the engine has not heard of it from the database
    monkeypatch.undo()
    services.resume(hand.stored(), by=None)
    run = hand.take_one()
    run.start()
    (workflow_id, node_states, epoch) = slow[-1]
    assert (dict(node_states), epoch) == ({"0": NodeState.FAILED}, 1)
    sweeper.confirm_ends(workflow_id, {"0": end}, epoch)
    assert hand.node_states() == {"0": "r"}
    run.end()
    assert hand.stored().state == "SUCCESS"


def test_a_sweeper_that_stands_still_ends_nothing_in_the_next_life():
    hand = Hand(new_workflow_of_one())
    run = hand.take_one()
    run.whole("failed")
    old = sweeper.Round(hand.stored())
    services.resume(hand.stored(), by=None)
    current_app.backend.mark_as_failure(run.job, ValueError("of before"))
    assert old._ended_elsewhere(["0"]) == {"0"}
    assert hand.node_states() == {"0": "q"}
    sweeper._send_again(hand.id, "0", NodeState.QUEUED, old.stored.epoch)
    assert len(hand.take()) == 1
    sweeper.Round(hand.stored())._ended_elsewhere(["0"])
    assert hand.node_states() == {"0": "f"}


def test_a_node_whose_end_is_not_recorded_does_not_run_again():
    workflow = new_workflow()
    workflow.add_signature(signature(), key="lost")
    workflow.add_signature(signature(), key="other")
    hand = Hand(workflow)
    first, second = hand.take()
    first.start()
    hand.record()
    hand.report_lost(first)
    late = Redelivered()
    second.whole("failed")
    redis.client().xdel(events.stream(), *(entry.id for entry in late.entries))  # with a recorder that was killed
    sweeper.confirm_ends(hand.id, {"0": NodeState.LOST}, 1)
    assert hand.stored().state == "FAILURE"
    with pytest.raises(NotNow, match="The end of “lost” is not recorded yet"):
        services.resume(hand.stored(), by=None, again=["other"])
    late.record()
    services.resume(hand.stored(), by=None, done={"lost": None})
    assert hand.node_states() == {"0": "s", "1": "q"}


def test_no_one_resumes_behind_the_history(monkeypatch):
    hand = Hand(new_workflow_of_one())
    hand.take_one().whole("failed")
    stored = hand.stored()
    monkeypatch.setattr(resumption.consumer, "lag", lambda: Lag(7, 12.3))
    with pytest.raises(NotNow, match="The history is 12 s behind"):
        services.resume(stored, by=None)
    assert hand.stored().state == "FAILURE"


class Disordered:
    """Records what was reported in batches of any size: now, later, or now and later once more."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.held: list[Redelivered] = []

    def record(self) -> None:
        """Record some of what was reported, and hold some back."""
        for piece in Redelivered().pieces(self.chance):
            when = self.chance.choice(["now", "now", "later", "both"])
            if when != "later":
                piece.record()
            if when != "now":
                self.held.append(piece)

    def record_held(self) -> None:
        """Record all that was ever held back, in any order."""
        self.chance.shuffle(self.held)
        for piece in self.held:
            piece.record()


def played(one: Player, disordered: Disordered) -> StoredWorkflow:
    """Play to the end; return the workflow when everything is recorded."""
    while one.step():
        if one.chance.random() < 0.4:
            disordered.record()
    disordered.record()
    disordered.record_held()
    return one.check_end()


@quick
@given(stories())
def test_batches_may_be_recorded_in_any_order_and_twice(story):
    one = player(story)
    disordered = Disordered(one.chance)
    stored = played(one, disordered)
    if stored.state == "FAILURE":
        one.good = dict.fromkeys(one.good, True)
        services.resume(stored, by=None)  # all of the first life comes once more
        played(one, disordered)

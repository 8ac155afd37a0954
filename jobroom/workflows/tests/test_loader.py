"""A workflow is put into Redis once for each of its lives, however long a process stands still between reading and writing."""

from typing import Any

import pytest
from django.db.models import F

from jobroom import redis
from jobroom.events import cancellation
from jobroom.workflows import services
from jobroom.workflows.engine import keys, loader
from jobroom.workflows.models import State, StoredWorkflow
from jobroom.workflows.repair import sweeper
from jobroom.workflows.tests.hand import Hand, new_workflow, signature

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quick_repairs")]


def chain_of_two() -> Hand:
    workflow = new_workflow()
    first = workflow.add_signature(signature(), key="first")
    workflow.add_signature(signature(), [first], key="second")
    return Hand(workflow)


def load_late(stored: StoredWorkflow, **how: Any) -> bool:
    """Load as a process does that has read the row long ago."""
    return loader.load(stored, stored.read_graph(), **how)


def written(hand: Hand) -> list[str]:
    """Return the keys of what was written beside the workflow."""
    names: Any = redis.client().keys(keys.workflow(hand.id, "*"))
    return [name for name in names if name.count(":") > 3]


def test_a_starter_that_comes_after_the_sweeper_begins_nothing_twice():
    hand = chain_of_two()
    at_start = StoredWorkflow.objects.get(pk=hand.id)
    hand.forget()
    assert sweeper.sweep() == 1
    hand.take_one().whole()
    before = hand.node_states()
    assert load_late(at_start) is False
    assert hand.node_states() == before
    hand.take_one().whole()
    assert load_late(at_start) is False, "nor when it has ended"
    assert hand.take() == []
    assert hand.stored().state == State.SUCCESS
    assert written(hand) == [], "nothing is left of what was written in vain"


def test_a_sweeper_that_comes_after_the_starter_begins_nothing_twice():
    hand = chain_of_two()
    seen = StoredWorkflow.objects.get(pk=hand.id)
    hand.take_one().whole()
    assert sweeper.Round(seen)._forgotten() is False, "it had found nothing in Redis"
    assert seen.epoch == hand.stored().epoch == 1
    hand.take_one().whole()
    assert hand.take() == []
    assert hand.stored().state == State.SUCCESS


def test_of_two_that_make_it_again_one_does(monkeypatch):
    hand = chain_of_two()
    first, second = (StoredWorkflow.objects.get(pk=hand.id) for _ in range(2))
    hand.forget()
    write = loader._write

    def stands_still(*args: Any) -> None:
        write(*args)
        monkeypatch.setattr(loader, "_write", write)
        redis.client().delete(keys.workflow(hand.id, "l"))  # its turn is over meanwhile
        assert sweeper.Round(second).work()
        hand.take_one().whole()

    monkeypatch.setattr(loader, "_write", stands_still)
    assert not sweeper.Round(first).work()
    hand.take_one().whole()
    assert hand.take() == []
    stored = hand.stored()
    assert (stored.state, stored.epoch) == (State.SUCCESS, 2)


def test_what_a_killed_loader_has_written_is_forgotten_in_time():
    hand = chain_of_two()
    stored = hand.stored()
    graph = stored.read_graph()
    loader._write(stored, graph, loader.Plan(graph, loader.Snapshot()), "token")
    assert len(written(hand)) > 1
    assert all(0 < redis.client().ttl(name) <= loader.ABANDONED for name in written(hand))
    assert all(redis.client().ttl(keys.workflow(hand.id, part)) == -1 for part in ("", "g"))


def test_a_resume_whose_process_was_killed_before_it_came_to_redis_goes_on(monkeypatch):
    hand = chain_of_two()
    hand.take_one().whole()
    hand.take_one().whole("failed")
    assert hand.stored().state == State.FAILURE
    with monkeypatch.context() as patched:
        patched.setattr(services.loader, "load", lambda *_: False)
        services.resume(hand.stored(), by=None)
    assert hand.state() == "FAILURE", "of the life before"
    sweeper.sweep()
    sweeper.sweep()
    assert hand.stored().state == State.RUNNING
    run = hand.take_one()
    assert run.node == "1", "what succeeded is kept"
    run.whole()
    stored = hand.stored()
    assert (stored.state, stored.epoch) == (State.SUCCESS, 2)


@pytest.mark.parametrize("forgotten", [False, True])
def test_what_was_cancelled_before_such_a_resume_runs(monkeypatch, forgotten):
    hand = chain_of_two()
    run = hand.take_one()
    services.cancel(hand.stored(), by=None)
    assert run.start()
    run.end("cancelled")
    assert hand.stored().state == State.CANCELLED
    with monkeypatch.context() as patched:
        patched.setattr(services.resumption, "want_again", lambda *_: None)
        patched.setattr(services.loader, "load", lambda *_: False)
        services.resume(hand.stored(), by=None)
    if forgotten:
        hand.forget()
    cancellation.request_all([run.job], "someone")
    sweeper.sweep()
    sweeper.sweep()
    again = hand.take_one()
    assert again.start() is None, "no one wants it to end in this life"
    again.end()
    hand.take_one().whole()
    assert hand.stored().state == State.SUCCESS


def test_the_database_learns_the_epoch_from_redis_when_who_made_it_again_was_killed():
    hand = chain_of_two()
    hand.forget()
    sweeper.sweep()
    StoredWorkflow.objects.filter(pk=hand.id).update(epoch=F("epoch") - 1)  # as if it had been killed before
    sweeper.sweep()
    assert hand.stored().epoch == 2
    hand.take_one().whole()
    hand.take_one().whole()
    assert hand.stored().state == State.SUCCESS


def test_an_end_is_recorded_though_the_database_does_not_know_the_epoch_yet():
    hand = chain_of_two()
    hand.forget()
    sweeper.sweep()
    StoredWorkflow.objects.filter(pk=hand.id).update(epoch=1)
    hand.take_one().whole()
    hand.take_one().whole()
    assert hand.stored().state == State.SUCCESS


def test_a_row_that_was_read_before_a_resume_changes_nothing():
    hand = chain_of_two()
    hand.take_one().whole("failed")
    before = hand.stored()
    services.resume(before, by=None)
    old = StoredWorkflow.objects.get(pk=hand.id)
    old.epoch = 1
    assert not sweeper.Round(old).work()
    assert hand.stored().epoch == 2
    assert len(hand.take()) == 1

"""Turns: one at a time, ended by anyone who has it and by no one else."""

import pytest

from jobroom import leases, redis
from jobroom.events.consumer import Reader


@pytest.fixture(autouse=True)
def _no_one_has_a_turn():
    redis.client().flushdb()


def test_one_at_a_time():
    """The second caller does not have the turn; after the first it has."""
    with (
        leases.turn(redis.client(), redis.key("chore"), 60) as first,
        leases.turn(redis.client(), redis.key("chore"), 60) as second,
    ):
        assert (first, second) == (True, False)
    with leases.turn(redis.client(), redis.key("chore"), 60) as third:
        assert third


def test_who_was_too_slow_leaves_the_next_turn_alone():
    """The turn of a process that was suspended runs out; its end must not end the turn of the next one."""
    client = redis.client()
    with leases.turn(client, redis.key("chore"), 60):
        client.delete(redis.key("chore"))  # its time is over
        assert leases.take(client, redis.key("chore"), "next", 60)
    assert client.get(redis.key("chore")) == "next"


def test_a_pause_keeps_the_next_turn_from_beginning():
    """The turn stays taken for so long, and only its own token may say so."""
    client = redis.client()
    assert leases.take(client, redis.key("pause"), "mine", 60)
    assert not leases.end(client, redis.key("pause"), "another", pause=0)
    assert leases.end(client, redis.key("pause"), "mine", pause=30)
    assert not leases.take(client, redis.key("pause"), "another", 60)
    assert 0 < client.pttl(redis.key("pause")) <= 30_000
    assert leases.end(client, redis.key("pause"), "mine")
    assert not leases.end(client, redis.key("pause"), "mine")


def test_a_reader_that_was_too_slow_leaves_the_turn_of_the_next_one_as_it_is():
    """It does not shorten it to its own pause."""
    client = redis.client()
    slow, quick = Reader("slow"), Reader("quick")
    assert slow.turn("reader", 60)
    key = redis.key("turn", "reader")
    client.delete(key)
    assert quick.turn("reader", 60)
    slow.end_turn("reader", 1)
    assert client.get(key) == "quick"
    assert client.pttl(key) > 30_000

"""One bad row never ends a round."""

import pytest
import redis as client_library
from django.db import OperationalError

from jobroom import housekeeping_loops, redis


@pytest.fixture(autouse=True)
def _empty_redis():
    redis.client().flushdb()


class Row:
    def __str__(self):
        raise RuntimeError("no text")


def test_the_others_have_their_turn_and_the_fault_is_shown():
    done = []
    for row in (1, "x", 3, Row(), 5):
        with housekeeping_loops.isolated("adding", row):
            done.append(row + 1)
    assert done == [2, 4, 6]
    fault = housekeeping_loops.faults()["adding"]
    assert fault["count"] == 2
    assert fault["row"] == "<Row whose __str__ raised RuntimeError>"
    assert fault["error"].startswith("TypeError: ")


@pytest.mark.parametrize("error", [OperationalError("away"), client_library.ConnectionError("away")])
def test_a_round_waits_for_a_server_that_is_away(error):
    with pytest.raises(type(error)), housekeeping_loops.isolated("adding", 1):
        raise error
    assert housekeeping_loops.faults() == {}


def test_a_chore_is_due_at_first_and_then_after_each_pause(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(housekeeping_loops.time, "monotonic", lambda: now[0])
    at_once, later = housekeeping_loops.Every(10), housekeeping_loops.Every(10, first=5)
    assert (at_once.take(), later.take()) == (True, False)
    now[0] += 5
    assert (at_once.take(), later.take()) == (False, True)
    now[0] += 5
    assert (at_once.is_due, later.is_due) == (True, False), "to ask begins no pause"
    assert at_once.take()
    assert not at_once.take()

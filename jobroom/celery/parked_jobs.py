"""Jobs that are in no queue of the broker, because they wait for a limit, a turn, a batch or a last call.

However many there are, no more than `MOST` of each kind are read: who counts them says where there are more.
"""

import dataclasses
from typing import Any

from jobroom import redis
from jobroom.celery.task_limits import QUEUE

# So many jobs of each kind are named at most.
MOST = 1000
# What they wait for, in words, by the key under which they are kept.
KINDS = {"limit": "a limit", "turn": "a turn", "batch": "a batch", "debounce": "a last call"}


@dataclasses.dataclass(frozen=True)
class HeldBack:
    """The jobs that are held back, as far as they were read."""

    jobs: dict[str, str]  # job → what it waits for, of KINDS; without those of fair queues
    turns: dict[str, str]  # job → the fair queue on which it waits for its turn
    more: frozenset[str]  # the kinds of which there are more than were read


def read() -> HeldBack:
    """Return the jobs that are held back; raises the errors of Redis."""
    parked, more_parked = _read("turns", "parked")
    batched, more_batched = _read("batch", "waits")
    called, more_called = _read("debounce", "waits")
    turns = {job: group.removeprefix(QUEUE) for job, group in parked.items() if group.startswith(QUEUE)}
    jobs = dict.fromkeys(parked.keys() - turns.keys(), "limit")
    jobs |= dict.fromkeys(batched, "batch") | dict.fromkeys(called, "debounce")
    more = {"limit": more_parked, "turn": more_parked, "batch": more_batched, "debounce": more_called}
    return HeldBack(jobs, turns, frozenset(kind for kind, is_more in more.items() if is_more))


def _read(*name: str) -> tuple[dict[str, str], bool]:
    """Return the first of the jobs with what is kept of them, and whether there are more."""
    client, key = redis.client(), redis.key(*name)
    size: Any = client.hlen(key)
    if size <= MOST:
        whole: Any = client.hgetall(key)
        return dict(whole), False
    # A step of a scan gives about as many as are asked for, and may give fewer.
    found: dict[str, str] = {}
    for job, value in client.hscan_iter(key, count=MOST):
        found[job] = value
        if len(found) == MOST:
            break
    return found, True

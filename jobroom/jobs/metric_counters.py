"""The counters of jobs for `/metrics`, kept by the recorder as it writes: no request ever counts the history.

The hash `metrics` in Redis has a field for each number, `<what>␟<task>␟<queue>␟<which>`, which only grows:

    ended    which: the state in which a job ended
    wait     which: the place of a bucket in BUCKETS, or `sum`: from its turn to its start, in seconds
    took     the same, from its start to its end

A batch that is recorded once more after a crash changes no state any more, and so is counted once.
"""

import dataclasses
import itertools
import logging
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any, Protocol

from jobroom import redis
from jobroom.exceptions import RedisUnavailable
from jobroom.jobs.models import FINISHED, State

logger = logging.getLogger(__name__)

# Upper bounds in seconds; what took longer is in one more bucket.
BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14400.0)
# Pairs of task and queue that are counted by name; all others are one. Names come from the sender of a message.
MOST = 500
OTHER = "(other)"
_SEP = "\x1f"
_WAITS = frozenset({"", State.SCHEDULED, State.QUEUED, State.RETRYING})


class Changed(Protocol):
    """What a batch did to a job."""

    @property
    def task(self) -> str:
        """Its task."""

    @property
    def queue(self) -> str:
        """Its queue."""

    @property
    def state(self) -> str:
        """The state after the batch."""

    @property
    def previous(self) -> str:
        """The state before it, empty for a new job."""

    @property
    def waited(self) -> float | None:
        """Seconds from its turn to its start."""

    @property
    def took(self) -> float | None:
        """Seconds from its start to its end."""


@dataclasses.dataclass
class Histogram:
    """Durations of one task on one queue."""

    counts: list[int] = dataclasses.field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    sum: float = 0.0

    def cumulated(self) -> list[tuple[str, float]]:
        """Return upper bounds with how many are not above them, as Prometheus wants them."""
        bounds = [*map(str, BUCKETS), "+Inf"]
        return list(zip(bounds, map(float, itertools.accumulate(self.counts)), strict=True))


@dataclasses.dataclass
class Measures:
    """All that was counted; keys are (task, queue)."""

    ended: dict[tuple[str, str, str], int]  # and the state
    wait: dict[tuple[str, str], Histogram]
    took: dict[tuple[str, str], Histogram]


def key() -> str:
    """Return the key of the hash."""
    return redis.key("metrics")


# The pairs that this process knows to be counted under their names.
_known: set[tuple[str, str]] = set()


def count(changes: Iterable[Changed]) -> None:
    """Count a batch; while Redis is away it is not counted, and nothing else is harmed."""
    whole: Counter[str] = Counter()
    sums: dict[str, float] = defaultdict(float)
    try:
        for change in changes:
            _add(change, whole, sums)
        if not whole:
            return
        with redis.client().pipeline(transaction=False) as together:
            for field, number in whole.items():
                together.hincrby(key(), field, number)
            for field, seconds in sums.items():
                together.hincrbyfloat(key(), field, seconds)
            together.execute()
    except (redis.Error, RedisUnavailable, OSError) as error:
        logger.warning("A batch is not in the metrics, Redis is away: %s", error)


def _add(change: Changed, whole: Counter[str], sums: dict[str, float]) -> None:
    begins = change.previous in _WAITS and change.state not in _WAITS
    ends = change.state in FINISHED and change.previous not in FINISHED
    if not begins and not ends:
        return
    pair = _pair(change.task, change.queue)
    if ends:
        whole[_SEP.join(("ended", *pair, change.state))] += 1
    for what, seconds in (("wait", change.waited if begins else None), ("took", change.took if ends else None)):
        if seconds is not None:
            whole[_SEP.join((what, *pair, str(bisect_left(BUCKETS, seconds))))] += 1
            sums[_SEP.join((what, *pair, "sum"))] += seconds


def _pair(task: str, queue: str) -> tuple[str, str]:
    pair = (task.replace(_SEP, " "), queue.replace(_SEP, " "))
    if pair not in _known:
        if not _known:
            _known.update(_pairs_of(redis.client().hkeys(key())))
        if len(_known) >= MOST and pair not in _known:
            return OTHER, OTHER
        _known.add(pair)
    return pair


def _pairs_of(fields: Any) -> set[tuple[str, str]]:
    parts = [str(field).split(_SEP) for field in fields]
    return {(found[1], found[2]) for found in parts if len(found) == 4}


def read() -> Measures:
    """Return all that was counted; raises the errors of Redis."""
    found = Measures({}, defaultdict(Histogram), defaultdict(Histogram))
    fields: Any = redis.client().hgetall(key())
    for field, number in fields.items():
        parts = field.split(_SEP)
        if len(parts) != 4:
            continue
        what, task, queue, which = parts
        if what == "ended":
            found.ended[task, queue, which] = int(number)
        elif what in {"wait", "took"}:
            histogram = (found.wait if what == "wait" else found.took)[task, queue]
            if which == "sum":
                histogram.sum = float(number)
            elif int(which) <= len(BUCKETS):
                histogram.counts[int(which)] = int(number)
    return found


def forget() -> None:
    """Forget which pairs are known; for tests."""
    _known.clear()

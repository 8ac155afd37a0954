"""Percentiles of waits and durations over a span, in its steps, by task and by queue; of what a person may see."""

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db.models import QuerySet, Sum
from django.utils import timezone

from jobroom.jobs.duration_buckets import percentile
from jobroom.jobs.durations import TOOK, WAIT, visible_to
from jobroom.jobs.models import DurationTally
from jobroom.users import User

# Rows of the tables of tasks and of queues, those with the most jobs.
MOST = 50


@dataclasses.dataclass(frozen=True)
class Span:
    """A span that ends now, and the length of its steps."""

    name: str
    words: str
    length: timedelta
    step: timedelta

    @property
    def number(self) -> int:
        """How many steps it has."""
        return self.length // self.step


SPANS = {
    span.name: span
    for span in (
        Span("1h", "hour", timedelta(hours=1), timedelta(minutes=5)),
        Span("6h", "6 hours", timedelta(hours=6), timedelta(minutes=15)),
        Span("24h", "24 hours", timedelta(hours=24), timedelta(hours=1)),
        Span("7d", "7 days", timedelta(days=7), timedelta(hours=6)),
        Span("30d", "30 days", timedelta(days=30), timedelta(days=1)),
    )
}
USUAL = "24h"


@dataclasses.dataclass(frozen=True)
class Spread:
    """How many there were, and the seconds that half and that 95 of 100 of them did not exceed; None of none."""

    number: int
    p50: float | None
    p95: float | None


NONE = Spread(0, None, None)


@dataclasses.dataclass(frozen=True)
class Both:
    """Waits and durations of what has a name, or of one step that began at a moment."""

    name: str
    begin: datetime | None
    end: datetime | None
    wait: Spread
    took: Spread

    @property
    def jobs(self) -> str:
        """How many there were, in words."""
        return f"{self.wait.number:,} started, {self.took.number:,} ended"


@dataclasses.dataclass(frozen=True)
class Numbers:
    """All of a span: the whole, its steps with the oldest first, and its tasks and queues with the busiest first."""

    span: Span
    whole: Both
    steps: Sequence[Both]
    tasks: Sequence[Both]
    queues: Sequence[Both]


Counts = Mapping[str, Counter[int]]  # by what is measured, and bucket


def numbers(
    user: User | AnonymousUser | None, span: Span, *, task: str = "", queue: str = "", now: datetime | None = None
) -> Numbers:
    """Return the numbers of a span of the jobs that the user may see, of one task or on one queue where those are named.

    Without a user it is the machine that asks, which sees all.
    """
    first = first_of(span, now or timezone.now())
    every = DurationTally.objects.all() if user is None else visible_to(user)
    seen = every.filter(begin__gte=first)
    rows = seen.filter(**({"task": task} if task else {}), **({"queue": queue} if queue else {}))
    steps = _steps(rows, span, first)
    whole = _empty()
    for counts in steps:
        for what, together in whole.items():
            together.update(counts[what])
    begins = [first + n * span.step for n in range(span.number)]
    return Numbers(
        span,
        _both(whole, begin=first, end=begins[-1] + span.step),
        [_both(counts, begin=at, end=at + span.step) for counts, at in zip(steps, begins, strict=True)],
        *_by_name(rows),
    )


def _empty() -> dict[str, Counter[int]]:
    return {WAIT: Counter(), TOOK: Counter()}


def first_of(span: Span, now: datetime) -> datetime:
    """Return when the first step of a span begins: steps are those of UTC, and the last one is under way."""
    step, moment = int(span.step.total_seconds()), int(now.timestamp())
    return datetime.fromtimestamp(moment - moment % step - step * (span.number - 1), UTC)


def _steps(rows: QuerySet[DurationTally], span: Span, first: datetime) -> list[dict[str, Counter[int]]]:
    found: list[dict[str, Counter[int]]] = [_empty() for _ in range(span.number)]
    began, step = first.timestamp(), span.step.total_seconds()
    for begin, what, bucket, number in _summed(rows, "begin"):
        place = int((begin.timestamp() - began) // step)
        if place < span.number:  # a clock may be ahead of ours
            found[place][what][bucket] += number
    return found


def _by_name(rows: QuerySet[DurationTally]) -> tuple[list[Both], list[Both]]:
    tasks: dict[str, dict[str, Counter[int]]] = defaultdict(_empty)
    queues: dict[str, dict[str, Counter[int]]] = defaultdict(_empty)
    for task, queue, what, bucket, number in _summed(rows, "task", "queue"):
        tasks[task][what][bucket] += number
        queues[queue][what][bucket] += number
    return _busiest(tasks), _busiest(queues)


def _busiest(found: Mapping[str, Counts]) -> list[Both]:
    shown = (_both(counts, name) for name, counts in found.items())
    return sorted(shown, key=lambda one: (-one.wait.number - one.took.number, one.name))[:MOST]


def _summed(rows: QuerySet[DurationTally], *columns: str) -> Iterable[tuple[Any, ...]]:
    found: Iterable[tuple[Any, ...]] = (
        rows.values_list(*columns, "what", "bucket").annotate(sum=Sum("number")).filter(sum__gt=0).order_by()
    )
    return found


def _both(counts: Counts, name: str = "", begin: datetime | None = None, end: datetime | None = None) -> Both:
    return Both(name, begin, end, _spread(counts[WAIT]), _spread(counts[TOOK]))


def _spread(counts: Counter[int]) -> Spread:
    number = sum(counts.values())
    return Spread(number, percentile(counts, 0.5), percentile(counts, 0.95)) if number else NONE

"""How long jobs waited and ran, counted by the recorder in buckets of durations, so that percentiles of any span are merged truly.

A row says how many waits or runs of one task, queue and owner that began or ended in one slot of time fall into one bucket, see
`jobroom.jobs.duration_buckets`. So slots and owners are added by adding numbers. The recorder writes slots of five minutes in the transaction that writes the ends;
old ones are put together to hours, quarters of days and days.

    wait   from the turn of an attempt to its start; one that only found a lock busy did not start
    took   from the start of the last attempt to its end, of jobs that succeeded or failed by themselves
"""

import itertools
import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django.contrib.auth.models import AnonymousUser
from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from jobroom.jobs import count_rows
from jobroom.jobs.duration_buckets import bucket_of
from jobroom.jobs.models import DurationTally, State
from jobroom.users import User

WAIT, TOOK = "wait", "took"
# Minutes of a slot, and how long slots of that size are kept before they are put together to the next.
FINE, HOUR, QUARTER, DAY = 5, 60, 360, 1440
KEPT = {FINE: timedelta(hours=7), HOUR: timedelta(hours=26), QUARTER: timedelta(days=8), DAY: timedelta(days=90)}
# Seconds between two looks for slots to put together, and of work at one look.
PAUSE, SECONDS = 60.0, 0.5
_ENDED = frozenset({State.SUCCEEDED, State.FAILED})
_COLUMNS = ("begin", "minutes", "task", "queue", "owner_id", "what", "bucket")


class Key(NamedTuple):
    """What is counted together."""

    begin: int  # seconds since 1970
    minutes: int
    task: str
    queue: str
    owner: int
    what: str
    bucket: int


# Written by the recorder ------------------------------------------------------------------------------------------------
def took_key(job: Any) -> Key | None:
    """Return where the run of a job counts; None for one that has not ended by itself, or that another job answered."""
    if job.state not in _ENDED or job.finished_at is None or job.started_at is None or job.answer_of:
        return None
    return _key(job, job.finished_at, TOOK, (job.finished_at - job.started_at).total_seconds())


def wait_key(job: Any, attempt: Any) -> Key | None:
    """Return where the wait of an attempt counts; None while it has no start, and for one that only found a lock busy."""
    if attempt.waited is None or attempt.started_at is None or attempt.state == State.QUEUED:
        return None
    return _key(job, attempt.started_at, WAIT, attempt.waited)


def _key(job: Any, at: datetime, what: str, seconds: float) -> Key:
    moment = int(at.timestamp())
    return Key(moment - moment % (60 * FINE), FINE, job.task, job.queue, job.owner_id or 0, what, bucket_of(seconds))


def add(changes: Mapping[Key, int]) -> None:
    """Add numbers, which may be negative, in as few statements as there are hundreds of keys."""
    moments = {(datetime.fromtimestamp(key.begin, UTC), *key[1:]): number for key, number in changes.items()}
    count_rows.add(DurationTally, _COLUMNS, moments)


# Put together, and forgotten --------------------------------------------------------------------------------------------
def roll_up(now: datetime | None = None) -> int:
    """Put old slots together, the oldest first, for a moment; return how many rows were."""
    until, moved = time.monotonic() + SECONDS, 0
    for minutes, larger in itertools.pairwise(KEPT):
        # Whole slots of the larger size, so that each is put together once.
        limit = _floor((now or timezone.now()) - KEPT[minutes], larger)
        old = DurationTally.objects.filter(minutes=minutes, begin__lt=limit).order_by("begin")
        while time.monotonic() < until and (oldest := old.values_list("begin", flat=True).first()) is not None:
            moved += _put_together(minutes, larger, _floor(oldest, larger))
    return moved


def _floor(at: datetime, minutes: int) -> datetime:
    moment = int(at.timestamp())
    return datetime.fromtimestamp(moment - moment % (60 * minutes), UTC)


@transaction.atomic
def _put_together(minutes: int, larger: int, begin: datetime) -> int:
    """Replace the slots of one larger slot by that one. What is deleted is what is added, whatever others write meanwhile."""
    end = begin + timedelta(minutes=larger)
    adapt = connection.ops.adapt_datetimefield_value
    text = (
        f"DELETE FROM {DurationTally._meta.db_table} WHERE minutes = %s AND begin >= %s AND begin < %s "  # noqa: S608
        "RETURNING task, queue, owner_id, what, bucket, number"
    )
    with connection.cursor() as cursor:
        cursor.execute(text, [minutes, adapt(begin), adapt(end)])
        rows = cursor.fetchall()
    numbers: Counter[Key] = Counter()
    for *where, number in rows:
        numbers[Key(int(begin.timestamp()), larger, *where)] += number
    add(numbers)
    return len(rows)


def forget_old() -> int:
    """Delete what is older than days are kept; return how many rows."""
    return DurationTally.objects.filter(begin__lt=timezone.now() - KEPT[DAY]).delete()[0]


# Read -------------------------------------------------------------------------------------------------------------------
def visible_to(user: User | AnonymousUser) -> QuerySet[DurationTally]:
    """Return what was counted of the jobs that the person may see."""
    return count_rows.visible_to(DurationTally.objects.all(), user)

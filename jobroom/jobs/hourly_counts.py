"""Hourly counts of finished jobs, by task, owner and state, kept by the recorder as it writes the ends.

An end counts when it is reported: a job that is run again ends once more, and a job that is deleted has ended none the less. What
another job answered did not run, and is not counted. Whatever reads the tallies sums the rows that the person may see.
"""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from jobroom.jobs import count_rows
from jobroom.jobs.models import FINISHED, HourTally, Job
from jobroom.users import User

# So long tallies are kept.
KEPT = timedelta(days=90)
_COLUMNS = ("hour", "task", "owner_id", "state")


class Key(NamedTuple):
    """What is counted together."""

    hour: datetime
    task: str
    owner: int
    state: str


def hour_of(moment: datetime) -> datetime:
    """Return the beginning of an hour; hours are those of UTC, no matter who looks."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def key_of(job: Any) -> Key | None:
    """Return where the end of a job counts; None for one that has not ended, or that another job answered."""
    if job.state not in FINISHED or job.finished_at is None or job.answer_of:
        return None
    return Key(hour_of(job.finished_at), job.task, job.owner_id or 0, str(job.state))


def add(changes: Counter[Key]) -> None:
    """Add numbers, which may be negative, in as few statements as there are hundreds of keys."""
    count_rows.add(HourTally, _COLUMNS, changes)


def visible_to(user: User | AnonymousUser) -> QuerySet[HourTally]:
    """Return the tallies of the jobs that the person may see."""
    return count_rows.visible_to(HourTally.objects.all(), user)


def recount(since: datetime) -> None:
    """Count the hours from `since` on again, of the jobs that are there: for a database that came from elsewhere."""
    first = hour_of(since)
    columns = ("state", "finished_at", "answer_of", "task", "owner_id")
    found: Counter[Key] = Counter()
    for job in Job.objects.filter(state__in=FINISHED, finished_at__gte=first).only("id", *columns).iterator(1000):
        if key := key_of(job):
            found[key] += 1
    with transaction.atomic():
        HourTally.objects.filter(hour__gte=first).delete()
        add(found)


def forget_old() -> int:
    """Delete the tallies that are older than `KEPT`; return how many."""
    return HourTally.objects.filter(hour__lt=timezone.now() - KEPT).delete()[0]

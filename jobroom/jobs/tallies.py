"""How many jobs ended in each hour, by task, owner and how they ended: counted by the recorder as it writes the ends.

An end counts where it was told: a job that is run again ends once more, and a job that is deleted has ended none the less. What
another job answered did not run, and is not counted. Whatever reads the tallies sums the rows that the person may see.
"""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django.contrib.auth.models import AnonymousUser
from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from jobroom.jobs import policies
from jobroom.jobs.models import FINISHED, HourTally, Job
from jobroom.users import User

# So long tallies are kept.
KEPT = timedelta(days=90)
# So many are written with one statement, or deleted.
STEP = 150


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
    table = HourTally._meta.db_table
    # In one order, so that two recorders never wait for each other.
    keys = sorted(key for key, number in changes.items() if number)
    for some in (keys[at : at + STEP] for at in range(0, len(keys), STEP)):
        values = [
            value
            for key in some
            for value in (
                connection.ops.adapt_datetimefield_value(key.hour),
                key.task,
                key.owner,
                key.state,
                changes[key],
            )
        ]
        rows = ", ".join(["(%s, %s, %s, %s, %s)"] * len(some))
        text = (
            f"INSERT INTO {table} (hour, task, owner_id, state, number) VALUES {rows} "  # noqa: S608 — a name, and places
            f"ON CONFLICT (hour, task, owner_id, state) DO UPDATE SET number = {table}.number + excluded.number"
        )
        with connection.cursor() as cursor:
            cursor.execute(text, values)


def visible_to(user: User | AnonymousUser) -> QuerySet[HourTally]:
    """Return the tallies of the jobs that the person may see."""
    if policies.sees_all(user):
        return HourTally.objects.all()
    if not user.is_authenticated or not user.is_active:
        return HourTally.objects.none()
    shown = policies.tasks_open_to(user, "see")
    return HourTally.objects.filter(Q(owner_id=user.pk) | Q(task__in=shown))


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

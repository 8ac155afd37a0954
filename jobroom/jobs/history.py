"""Statistics of a task's earlier jobs: how long they took, and how many succeeded."""

import dataclasses
from datetime import datetime
from typing import Any

from django.db import models
from django.db.models import Q

from jobroom.arguments.redaction import is_secret_name
from jobroom.jobs import policies
from jobroom.jobs.models import FINISHED, Job, State
from jobroom.jobs.querysets import JobQuerySet
from jobroom.jobs.search import newest, visible_paths
from jobroom.users import User

# So many of the latest jobs are looked at.
LOOKED_AT = 50
# They are sought among so many.
SIFTED = 500
_COUNTED = frozenset({State.SUCCEEDED, State.FAILED, State.LOST})
# The catalogue looks at so many of the latest jobs of all tasks, and shows so many outcomes of each.
RECENT = 1000
OUTCOMES = 12


@dataclasses.dataclass(frozen=True)
class Durations:
    """Run times of the latest successful jobs, in seconds; None when there is none."""

    typical: float | None
    longest: float | None
    count: int
    failures: int  # among as many latest finished jobs


def durations(task: str, user: User | None = None) -> Durations:
    """Return how long the latest jobs of `task` took that `user` may see; None sees those of all owners."""
    rows_of = Job.objects.all() if user is None or policies.may_see_task(user, task) else Job.objects.filter(owner=user)
    of_task = ended(task, rows_of)
    columns = of_task.values_list("state", "started_at", "finished_at", "answer_of")
    # Not by state: of a task that is skipped all the time a database would read every job to find some others. An answer
    # that another job computed says nothing.
    rows = [row[:3] for row in columns[:SIFTED] if row[0] in _COUNTED and not row[3]][:LOOKED_AT]
    seconds = sorted(
        (end - start).total_seconds() for state, start, end in rows if state == State.SUCCEEDED and start and end
    )
    failures = sum(state != State.SUCCEEDED for state, _, _ in rows)
    if not seconds:
        return Durations(None, None, 0, failures)
    return Durations(seconds[len(seconds) // 2], seconds[-1], len(seconds), failures)


def ended(task: str, rows: JobQuerySet | None = None) -> JobQuerySet:
    """Return the jobs of a task that have ended, the newest first: however many wait, those before them are found."""
    return (Job.objects.all() if rows is None else rows).filter(task=task, finished_at__isnull=False).newest_first()


@dataclasses.dataclass(slots=True)
class Lately:
    """What became of a task's latest finished jobs."""

    outcomes: list[str] = dataclasses.field(default_factory=list)  # states, the oldest first
    typical: float | None = None  # median seconds of those that succeeded


def lately(user: User) -> dict[str, Lately]:
    """Return, for each task among the latest finished jobs that `user` may see, how they ended and how long they took."""
    found: dict[str, Lately] = {}
    seconds: dict[str, list[float]] = {}
    for task, state, start, end, answer_of in _finished(user):
        one = found.setdefault(task, Lately())
        if len(one.outcomes) < OUTCOMES:
            one.outcomes.insert(0, state)
        if state == State.SUCCEEDED and start and end and not answer_of:
            seconds.setdefault(task, []).append((end - start).total_seconds())
    for task, times in seconds.items():
        found[task].typical = sorted(times)[len(times) // 2]
    return found


def _finished(user: User) -> list[tuple[str, str, datetime | None, datetime | None, str]]:
    """Return task, state, start, end and whose answer they have of the latest finished jobs that `user` may see, along the indexes."""
    if policies.sees_by_rule(user):
        path = visible_paths(user)[0]  # of those no index knows the state
    else:
        own = {} if user.is_staff else {"owner": user.pk}
        path = [Q(state=state, **own) for state in sorted(FINISHED)]
    columns = ("id", "created_at", "task", "state", "started_at", "finished_at", "answer_of")
    rows = {pk: values for pk, _, *values in newest(path, RECENT, columns) if values[1] in FINISHED}
    return [(task, state, start, end, answer_of) for task, state, start, end, answer_of in rows.values()]


def search(rows: models.QuerySet[Any], text: str) -> models.QuerySet[Any]:
    """Return the rows whose key is `text`, or one of whose short texts, secret ones aside, contains it."""
    text = text.replace("\x00", "").strip()[:100]
    if not text:
        return rows
    wanted = Q()
    for column in rows.model._meta.get_fields():
        if isinstance(column, models.CharField) and not column.choices and not is_secret_name(column.name):
            wanted |= Q(**{f"{column.name}__icontains": text})
    if text.isascii() and text.isdigit() and len(text) < 18:
        wanted |= Q(pk=text)
    return rows.filter(wanted) if wanted else rows.none()

"""What earlier jobs of a task tell about the next: how long it takes, and how often it succeeds."""

import dataclasses
import hashlib
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from django.core.cache import cache
from django.db import models
from django.db.models import Q
from django.utils import timezone

from jobroom.arguments.redaction import is_secret_name
from jobroom.jobs import forecast, policies
from jobroom.jobs.models import FINISHED, Job, State
from jobroom.jobs.search import newest, union_all, visible_paths
from jobroom.users import User

# So many of the latest jobs are looked at.
LOOKED_AT = 50
# They are sought among so many.
SIFTED = 500
_TOLD = frozenset({State.SUCCEEDED, State.FAILED, State.LOST})
# The catalogue looks at so many of the latest jobs of all tasks, and shows so many outcomes of each.
RECENT = 1000
OUTCOMES = 12
# The usual run times of so many tasks are read at once, each from so many jobs, and remembered for so many seconds.
MOST_TASKS = 50
LATEST = 25
KEPT = 60


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
    of_task = rows_of.filter(task=task).newest_first()
    columns = of_task.values_list("state", "started_at", "finished_at", "answer_of")
    # Not by state: of a task that is skipped all the time a database would read every job to find some others. An answer
    # that another job computed tells nothing.
    rows = [row[:3] for row in columns[:SIFTED] if row[0] in _TOLD and not row[3]][:LOOKED_AT]
    seconds = sorted(
        (end - start).total_seconds() for state, start, end in rows if state == State.SUCCEEDED and start and end
    )
    failures = sum(state != State.SUCCEEDED for state, _, _ in rows)
    if not seconds:
        return Durations(None, None, 0, failures)
    return Durations(seconds[len(seconds) // 2], seconds[-1], len(seconds), failures)


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
        own = {} if user.is_staff else {"owner": user.pk, "owner__isnull": False}
        path = [Q(state=state, **own) for state in sorted(FINISHED)]
    columns = ("id", "created_at", "task", "state", "started_at", "finished_at", "answer_of")
    rows = {pk: told for pk, _, *told in newest(path, RECENT, columns) if told[1] in FINISHED}
    return [(task, state, start, end, answer_of) for task, state, start, end, answer_of in rows.values()]


def typical(tasks: Collection[str]) -> dict[str, float]:
    """Return how many seconds jobs of each task usually take: the median of its latest that ended by themselves.

    Over all owners: it names none of them. A task without such a job is left out, and so are those beyond `MOST_TASKS` that
    no one has asked for in the last minute.
    """
    keys = {f"jobroom.jobs.typical.{hashlib.sha256(task.encode()).hexdigest()[:24]}": task for task in tasks}
    kept: dict[str, float | None] = {keys[key]: value for key, value in cache.get_many(keys).items()}
    missing = sorted(task for task in keys.values() if task not in kept)[:MOST_TASKS]
    if missing:
        fresh = _read_typical(missing)
        cache.set_many({key: fresh[task] for key, task in keys.items() if task in fresh}, KEPT)
        kept.update(fresh)
    return {task: seconds for task, seconds in kept.items() if seconds is not None}


def _read_typical(tasks: Sequence[str]) -> dict[str, float | None]:
    columns = ("id", "task", "state", "started_at", "finished_at", "answer_of")
    latest = [Job.objects.filter(task=task).newest_first().values_list(*columns)[:LATEST] for task in tasks]
    seconds: dict[str, list[float]] = {task: [] for task in tasks}
    for job in Job.objects.raw(*union_all(latest)):
        if job.state in (State.SUCCEEDED, State.FAILED) and job.started_at and job.finished_at and not job.answer_of:
            seconds[job.task].append(max(0.0, (job.finished_at - job.started_at).total_seconds()))
    return {task: sorted(times)[len(times) // 2] if times else None for task, times in seconds.items()}


def remaining(job: Job) -> tuple[float, float] | None:
    """Return the least and the most seconds that the running job should still take, None when no one can know."""
    if job.state != State.RUNNING or job.started_at is None:
        return None
    spent = (timezone.now() - job.started_at).total_seconds()
    return forecast.left(_seconds(job.task), job.fraction, spent)


def _seconds(task: str) -> list[float]:
    """Return what the latest successful jobs of the task took, over all owners: it names none of them."""
    columns = (
        Job.objects.filter(task=task).newest_first().values_list("state", "started_at", "finished_at", "answer_of")
    )
    return [
        (end - start).total_seconds()
        for state, start, end, answer_of in columns[:SIFTED]
        if state == State.SUCCEEDED and start and end and not answer_of
    ][:LOOKED_AT]


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

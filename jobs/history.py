"""What earlier jobs of a task tell about the next: how long it takes, and how often it succeeds."""

import dataclasses
from typing import Any

from django.db import models
from django.db.models import Q
from django.utils import timezone

from common.redaction import is_secret_name
from jobs.models import Job, State

# So many of the latest jobs are looked at.
LOOKED_AT = 50
# The catalogue looks at so many of the latest jobs of all tasks, and shows so many outcomes of each.
RECENT = 2000
OUTCOMES = 12


@dataclasses.dataclass(frozen=True)
class Durations:
    """Run times of the latest successful jobs, in seconds; None when there is none."""

    typical: float | None
    longest: float | None
    count: int
    failures: int  # among as many latest finished jobs


def durations(task: str) -> Durations:
    """Return how long the latest jobs of `task` took, over all owners: it names none of them."""
    # An answer that another job computed tells nothing.
    finished = Job.objects.filter(
        task=task, state__in=[State.SUCCEEDED, State.FAILED, State.LOST], answer_of=""
    ).newest_first()
    rows = list(finished.values_list("state", "started_at", "finished_at")[:LOOKED_AT])
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


def lately(visible: models.QuerySet[Job]) -> dict[str, Lately]:
    """Return, for each task among the latest finished jobs, how they ended and how long they took; one query."""
    finished = visible.filter(finished_at__isnull=False).order_by("-created_at", "-id")
    columns = finished.values_list("task", "state", "started_at", "finished_at", "answer_of")
    found: dict[str, Lately] = {}
    seconds: dict[str, list[float]] = {}
    for task, state, start, end, answer_of in columns[:RECENT]:
        one = found.setdefault(task, Lately())
        if len(one.outcomes) < OUTCOMES:
            one.outcomes.insert(0, state)
        if state == State.SUCCEEDED and start and end and not answer_of:
            seconds.setdefault(task, []).append((end - start).total_seconds())
    for task, times in seconds.items():
        found[task].typical = sorted(times)[len(times) // 2]
    return found


def remaining(job: Job) -> float | None:
    """Return the seconds that the running job should still take, None when nobody knows.

    From its own progress once a twentieth is done, else from the median of the earlier ones.
    """
    if job.state != State.RUNNING or job.started_at is None:
        return None
    spent = (timezone.now() - job.started_at).total_seconds()
    fraction = job.fraction
    if fraction is not None and fraction >= 0.05:
        return max(0.0, spent / fraction - spent)
    typical = durations(job.task).typical
    return None if typical is None else max(0.0, typical - spent)


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

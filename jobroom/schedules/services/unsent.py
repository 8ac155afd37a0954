"""Runs that a scheduler has claimed and whose messages it has not published yet: a row each, written with the claim.

A scheduler that is killed between the two leaves its rows, and another one publishes what they are about, as the same jobs.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

from django.db import transaction
from django_celery_beat.models import PeriodicTask

from jobroom.schedules.models import RunState, ScheduledRun
from jobroom.schedules.services import runs

REASON = "is being sent"


class Claimed(Protocol):
    """A claimed run: the row of its schedule, the moments that it is for, and the options of its message."""

    model: PeriodicTask
    dues: list[datetime]
    options: dict[str, object]


def remember(claimed: Iterable[Claimed]) -> None:
    """Write down that these runs are being sent; the caller does it in the transaction of their claims."""
    ScheduledRun.objects.bulk_create(
        [
            ScheduledRun(
                row=run.model, due=run.dues[-1], state=RunState.SENDING, reason=REASON, job=str(run.options["task_id"])
            )
            for run in claimed
        ],
        ignore_conflicts=True,
    )


def forget(claimed: Iterable[Claimed]) -> None:
    """Forget these runs: they were published, or something else was written down about them."""
    found = list(claimed)
    if found:
        ScheduledRun.objects.filter(
            row__in=[run.model.pk for run in found],
            due__in=[run.dues[-1] for run in found],
            job__in=[run.options["task_id"] for run in found],
            state=RunState.SENDING,
        ).delete()


def replace(run: Claimed, rows: list[ScheduledRun]) -> None:
    """Keep what became of moments of a claimed run, that of its own in place of what is remembered."""
    if not rows:
        return
    with transaction.atomic():
        if any(row.due == run.dues[-1] for row in rows):
            forget([run])
        runs.write(rows)


def is_taken_over(run: Claimed) -> bool:
    """Return whether another scheduler has taken a claimed run for abandoned, and sends it."""
    same = ScheduledRun.objects.filter(row=run.model.pk, due=run.dues[-1], job=run.options["task_id"])
    return same.exclude(state=RunState.SENDING).exists()

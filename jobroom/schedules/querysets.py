"""Reusable reads of schedules."""

from django.db.models import OuterRef, QuerySet, Subquery
from django_celery_beat.models import PeriodicTask

from jobroom.jobs.models import Job, State


def with_everything(rows: QuerySet[PeriodicTask]) -> QuerySet[PeriodicTask]:
    """Return the rows with their timing and what the settings said, and of the last job its id, state, end, begin."""
    last = Job.objects.filter(schedule=OuterRef("name")).exclude(schedule="").order_by("-created_at")
    related = ("interval", "crontab", "solar", "clocked", "settings_schedule", "detail", "policy")
    found: QuerySet[PeriodicTask] = rows.select_related(*related).annotate(
        last_job=Subquery(last.values("pk")[:1]),
        last_state=Subquery(last.values("state")[:1]),
        last_end=Subquery(last.values("finished_at")[:1]),
        last_begin=Subquery(last.values("created_at")[:1]),
        last_execution=Subquery(last.values("execution")[:1]),
        last_progress=Subquery(last.values("progress")[:1]),
        last_event=Subquery(last.values("last_event")[:1]),
    )
    return found


def enabled() -> QuerySet[PeriodicTask]:
    """Return the schedules that are switched on."""
    found: QuerySet[PeriodicTask] = PeriodicTask.objects.filter(enabled=True).order_by("name")
    return found


def active_jobs(most: int = 20) -> list[Job]:
    """Return the newest jobs of schedules that wait or run; at most `most`."""
    rows = Job.objects.filter(state__in=[State.QUEUED, State.RUNNING]).exclude(schedule="")
    return list(rows.without_bulk().newest_first()[:most])

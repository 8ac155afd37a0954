"""Deletes old jobs and results from the database."""

from collections.abc import Callable
from datetime import timedelta

from django.db import models
from django.utils import timezone
from django_celery_results.models import GroupResult

from jobroom.jobs import durations, failures, files, hourly_counts
from jobroom.jobs.conf import settings
from jobroom.jobs.models import FINISHED, ArchivedResult, Job

Notify = Callable[[int], object]


def cleanup_jobs(*, days: float | None = None, keep: int | None = None, notify: Notify = lambda count: None) -> int:
    """Delete finished jobs, and their files, older than `days`, and the oldest beyond the newest `keep`; return how many.

    Both default to the options JOBS_KEEP_DAYS and JOBS_KEEP_COUNT; 0 keeps all. `notify` hears the count so far.
    Rows go a chunk at a time, each in a transaction of its own, so no one waits for long.
    """
    hourly_counts.forget_old()
    durations.forget_old()
    failures.forget_old()
    days = settings.KEEP_DAYS if days is None else days
    keep = settings.KEEP_COUNT if keep is None else keep
    finished = Job.objects.filter(state__in=FINISHED)
    count = 0
    if days:
        limit = timezone.now() - timedelta(days=days)
        count = _delete(finished.filter(created_at__lt=limit, finished_at__lt=limit), "created_at", notify)
    if keep:
        beyond = finished.newest_first().values_list("created_at", flat=True)[keep : keep + 1].first()
        if beyond is not None:
            count += _delete(finished.filter(created_at__lte=beyond), "created_at", lambda more: notify(count + more))
    return count


def cleanup_results(*, days: float | None = None, notify: Notify = lambda count: None) -> int:
    """Delete archived results older than `days` (JOBS_RESULTS_DAYS; 0 keeps all); return how many."""
    days = settings.RESULTS_DAYS if days is None else days
    if not days:
        return 0
    limit = timezone.now() - timedelta(days=days)
    count = _delete(ArchivedResult.objects.filter(date_done__lt=limit), "date_done", notify)
    return count + _delete(
        GroupResult.objects.filter(date_done__lt=limit), "date_done", lambda more: notify(count + more)
    )


def _delete(rows: models.QuerySet[models.Model] | models.QuerySet[Job], oldest: str, notify: Notify) -> int:
    """Delete `rows` a chunk at a time, oldest first; return how many."""
    count = 0
    while True:
        chunk = list(rows.order_by(oldest).values_list("pk", flat=True)[: settings.CLEANUP_CHUNK])
        if not chunk:
            return count
        if rows.model is Job:
            files.delete_those_of(chunk)
        rows.model._default_manager.filter(pk__in=chunk).delete()
        count += len(chunk)
        notify(count)

"""Runs that do not take place: a schedule is paused, with who and why, or its next run is left out."""

from datetime import datetime

from django.utils import timezone
from django_celery_beat.models import PeriodicTask, PeriodicTasks

from jobroom.schedules import audit
from jobroom.schedules.exceptions import NotNow, UnusableSchedule
from jobroom.schedules.models import ScheduleDetail
from jobroom.schedules.services.next_runs import next_runs
from jobroom.schedules.services.writes import set_enabled
from jobroom.users import User


def pause(row: PeriodicTask, *, by: User, reason: str) -> None:
    """Let the schedule send nothing more until it is resumed; raise NotNow where it sends nothing already."""
    if not set_enabled(PeriodicTask.objects.filter(pk=row.pk), enabled=False):
        raise NotNow("It is paused already.")
    _detail(row, paused_by=by.get_username()[:150], paused_at=timezone.now(), pause_reason=reason[:300], skip_at=None)
    row.enabled = False
    audit.tell(by, "paused", row.name, reason=reason)


def resume(row: PeriodicTask) -> None:
    """Let the schedule run again, from now on: what was missed is not made up. Raises NotNow where it runs already."""
    if not set_enabled(PeriodicTask.objects.filter(pk=row.pk), enabled=True):
        raise NotNow("It is not paused.")
    row.enabled = True


def skip(row: PeriodicTask) -> datetime:
    """Let the next run be left out, and return when that would be; raise NotNow where there is none."""
    try:
        runs = next_runs(row)
    except UnusableSchedule as error:
        raise NotNow(f"It has no next run: {error}") from error
    if not runs:
        raise NotNow("It has no next run that could be left out.")
    _detail(row, skip_at=runs[0])
    return runs[0]


def unskip(row: PeriodicTask) -> None:
    """Let the run take place after all."""
    _detail(row, skip_at=None)


def skipped(row: PeriodicTask) -> datetime | None:
    """Return the moment of the run that is to be left out, None when there is none."""
    found: datetime | None = getattr(getattr(row, "detail", None), "skip_at", None)
    return found


def leaves_out(row: PeriodicTask) -> bool:
    """Return whether the run that is due now is the one to be left out, and forget it then: only one is."""
    moment = skipped(row)
    if moment is None or timezone.now() < moment:
        return False
    return bool(ScheduleDetail.objects.filter(row=row.pk, skip_at=moment).update(skip_at=None))


def _detail(row: PeriodicTask, **fields: object) -> None:
    ScheduleDetail.objects.update_or_create(row=row, defaults=fields)
    PeriodicTasks.update_changed()  # beat keeps what it has read

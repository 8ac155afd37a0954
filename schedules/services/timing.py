"""When a schedule runs: its sentence, its next runs, and the moment they are counted from."""

from datetime import datetime, timedelta
from typing import Any

from celery.exceptions import ImproperlyConfigured
from celery.schedules import ParseException, crontab
from django.core.exceptions import ObjectDoesNotExist
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from schedules.exceptions import UnusableSchedule

# What Celery and its schedules raise when a row holds what is no schedule, or a date that never comes.
UNUSABLE = (
    ArithmeticError,
    AttributeError,
    ImproperlyConfigured,
    LookupError,
    ObjectDoesNotExist,
    ParseException,
    RuntimeError,
    TypeError,
    ValueError,
)


def timing(row: PeriodicTask) -> Any:
    """Return Celery's schedule object of the row; raise UnusableSchedule when there is none."""
    if row.scheduler is None:
        raise UnusableSchedule("it has neither an interval, a crontab, a solar event nor a clocked time")
    try:
        return row.schedule
    except UNUSABLE as error:
        raise UnusableSchedule(f"{row.scheduler}: {error}") from error


def reference(row: PeriodicTask) -> datetime:
    """Return the moment that the next run is counted from: the last run, else when the row was changed or starts.

    An interval with a start time runs first at that time; a crontab at its first moment from then on.
    """
    if row.last_run_at is not None:
        return row.last_run_at  # type: ignore[no-any-return]
    changed: datetime = row.date_changed or timezone.now()
    if row.start_time is None or row.start_time <= changed:
        return changed
    back = timing(row).run_every if row.interval else timedelta(seconds=1)
    return row.start_time - back  # type: ignore[no-any-return]


def next_runs(row: PeriodicTask, count: int = 1) -> list[datetime]:
    """Return the next `count` runs, fewer when it ends before; none when it is disabled or has expired.

    Raises UnusableSchedule.
    """
    if not row.enabled:
        return []
    try:
        return _runs(row, 1 if row.one_off else count)
    except UNUSABLE as error:
        raise UnusableSchedule(f"{row.scheduler}: {error}") from error


def _runs(row: PeriodicTask, count: int) -> list[datetime]:
    schedule, moment, now = timing(row), reference(row), timezone.now()
    found: list[datetime] = []
    while len(found) < count:
        # What was missed is made up once, now.
        moment = max(_after(row, schedule, moment), now)
        if row.expires is not None and moment >= row.expires:
            break
        found.append(moment)
        if row.clocked or row.solar:
            break
    return found


def _after(row: PeriodicTask, schedule: Any, moment: datetime) -> datetime:
    """Return the first run after `moment`."""
    if row.clocked:
        return row.clocked.clocked_time  # type: ignore[no-any-return]
    if isinstance(schedule, crontab):
        begin, delta, _ = schedule.remaining_delta(moment)
        return begin + delta  # type: ignore[no-any-return]
    if row.interval:
        return moment + schedule.run_every  # type: ignore[no-any-return]
    return timezone.now() + schedule.remaining_estimate(moment)  # type: ignore[no-any-return]


def sentence(row: PeriodicTask) -> str:
    """Return when the schedule runs, in words."""
    timed = row.scheduler
    if timed is None:
        return "never: it has no schedule"
    if row.clocked:
        return f"once, at {timezone.localtime(row.clocked.clocked_time):%Y-%m-%d %H:%M:%S %Z}"
    try:
        return str(timed.human_readable if row.crontab else timed)
    except UNUSABLE:
        return str(timed)

"""When a schedule runs: its sentence, its next runs, and the moment they are counted from."""

import functools
from datetime import datetime, timedelta, tzinfo
from typing import Any

from celery import current_app
from celery.exceptions import ImproperlyConfigured
from celery.schedules import ParseException
from django.conf import settings
from django.core.exceptions import ObjectDoesNotExist
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from jobroom.schedules.exceptions import UnusableSchedule
from jobroom.schedules.services import crontab_words, jitter, sun
from jobroom.schedules.services.wallclock import WallClock

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
# A shorter interval floods the queue, and a longer time is beyond what dates can hold.
SHORTEST = timedelta(milliseconds=100)
LONGEST = timedelta(days=3650)
# The clocks of two machines may differ by so much: a run that seems to lie further ahead was written by a wrong one.
CLOCKS_DIFFER = timedelta(seconds=60)


def timing(row: PeriodicTask) -> Any:
    """Return Celery's schedule object of the row; raise UnusableSchedule when there is none, or none that can be kept."""
    if row.scheduler is None:
        raise UnusableSchedule("it has neither an interval, a crontab, a solar event nor a clocked time")
    if row.solar and not sun.is_installed():
        raise UnusableSchedule(f"{row.scheduler}: {sun.MISSING}")
    try:
        found = _wall_clock(row.crontab) if row.crontab else row.schedule
    except UNUSABLE as error:
        raise UnusableSchedule(f"{row.scheduler}: {error}") from error
    if row.interval and not timedelta() < found.run_every <= LONGEST:
        raise UnusableSchedule(f"{row.scheduler}: choose an interval from a tenth of a second to {LONGEST.days} days")
    return found


def _wall_clock(row: CrontabSchedule) -> WallClock:
    aware = getattr(settings, "DJANGO_CELERY_BEAT_TZ_AWARE", True)
    zone = row.timezone if aware else current_app.timezone
    return _parsed(row.minute, row.hour, row.day_of_week, row.day_of_month, row.month_of_year, zone)


@functools.lru_cache(maxsize=4096)
def _parsed(minute: str, hour: str, week_day: str, month_day: str, month: str, zone: tzinfo) -> WallClock:
    """Return the crontab of these fields; what many schedules share is read once."""
    return WallClock(
        minute=minute, hour=hour, day_of_week=week_day, day_of_month=month_day, month_of_year=month, tz=zone
    )


def comes_from_ahead(row: PeriodicTask, now: datetime) -> bool:
    """Return whether the row counts from a time that lies ahead: a clock has been set back since."""
    moment = row.last_run_at or row.date_changed
    return moment is not None and moment > now + CLOCKS_DIFFER


def reference(row: PeriodicTask) -> datetime:
    """Return the moment that the next run is counted from: the last run, else when the row was changed or starts.

    An interval with a start time runs first at that time; a crontab at its first moment from then on. A moment that lies
    ahead, because a clock was set back since, counts as now. Raises UnusableSchedule.
    """
    now = timezone.now()
    ahead = comes_from_ahead(row, now)
    if row.last_run_at is not None and not ahead:
        return row.last_run_at  # type: ignore[no-any-return]
    changed: datetime = now if ahead else row.date_changed or now
    if row.start_time is None or row.start_time <= changed:
        return changed
    back = timing(row).run_every if row.interval else timedelta(seconds=1)
    try:
        return row.start_time - back  # type: ignore[no-any-return]
    except UNUSABLE as error:
        raise UnusableSchedule(f"its start, {row.start_time}, is beyond what dates can hold: {error}") from error


def next_runs(row: PeriodicTask, count: int = 1) -> list[datetime]:
    """Return the next `count` runs, fewer when it ends before; none when it is disabled or has expired.

    Raises UnusableSchedule.
    """
    return [start for start, _ in next_pairs(row, count)]


def next_pairs(row: PeriodicTask, count: int) -> list[tuple[datetime, datetime]]:
    """Return of the next `count` runs when they take place, and the moments that they are for; as `next_runs` does."""
    if not row.enabled:
        return []
    try:
        return _runs(row, 1 if row.one_off else count)
    except UNUSABLE as error:
        raise UnusableSchedule(f"{row.scheduler}: {error}") from error


def _runs(row: PeriodicTask, count: int) -> list[tuple[datetime, datetime]]:
    schedule, moment, now = timing(row), reference(row), timezone.now()
    delayed = bool(jitter.longest(row))
    found: list[tuple[datetime, datetime]] = []
    while len(found) < count:
        due = run_after(row, schedule, moment)
        # What was missed is made up once, now.
        start, moment = _delayed(row, schedule, due, now) if delayed else (max(due, now),) * 2
        if row.expires is not None and start >= row.expires:
            break
        found.append((start, due))
        if row.clocked:
            break
    return found


def _delayed(row: PeriodicTask, schedule: Any, due: datetime, now: datetime) -> tuple[datetime, datetime]:
    """Return when the run that is due at `due` takes place, and the moment that the run after it is counted from."""
    start = start_of(row, schedule, due)
    if start >= now:
        return start, due
    return now, due + (now - due) // schedule.run_every * schedule.run_every if row.interval else now


def start_of(row: PeriodicTask, schedule: Any, due: datetime) -> datetime:
    """Return when the run that is due at `due` takes place: then, or by the schedule's jitter later."""
    return jitter.start(row, due, run_after(row, schedule, due)) if jitter.longest(row) else due


def run_after(row: PeriodicTask, schedule: Any, moment: datetime) -> datetime:
    """Return the first run after `moment`."""
    if row.clocked:
        return row.clocked.clocked_time  # type: ignore[no-any-return]
    if isinstance(schedule, WallClock):
        return schedule.next_after(moment)
    if row.interval:
        return moment + schedule.run_every  # type: ignore[no-any-return]
    return sun.next_after(schedule, moment)


def sentence(row: PeriodicTask) -> str:
    """Return when the schedule runs, in words."""
    if row.scheduler is None:
        return "never: it has no schedule"
    if row.clocked:
        return f"once, at {timezone.localtime(row.clocked.clocked_time):%Y-%m-%d %H:%M:%S %Z}"
    if row.solar:
        return sun.sentence(row.solar)
    try:
        return crontab_words.words(_wall_clock(row.crontab)) if row.crontab else _interval_words(row.interval)
    except UNUSABLE:
        return str(row.scheduler)


def _interval_words(row: IntervalSchedule) -> str:
    return f"every {row.every / 1e6:g} seconds" if row.period == IntervalSchedule.MICROSECONDS else str(row)

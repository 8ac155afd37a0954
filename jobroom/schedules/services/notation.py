"""Parses when a schedule runs from one line (five fields, “every 15 minutes”, an event of the sun, a moment), and writes it."""

import dataclasses
import re
from datetime import timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from celery.schedules import crontab
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask

from jobroom.arguments import WrongArguments
from jobroom.jobs import moments
from jobroom.schedules.exceptions import UnusableSchedule
from jobroom.schedules.models import SchedulePolicy
from jobroom.schedules.services import sun
from jobroom.schedules.services.next_runs import LONGEST, UNUSABLE, next_runs

# The fields of a crontab in the order in which people write them, as they are called to people and by the table.
FIELDS = {
    "minute": "minute",
    "hour": "hour",
    "day of month": "day_of_month",
    "month": "month_of_year",
    "day of week": "day_of_week",
}
REMEDY = (
    "Write five fields such as 0 6 * * 1-5 (six o'clock on working days), “every 15 minutes”, a moment such as "
    "2026-01-31 09:30, or sunrise at 52.52, 13.405."
)
_EVERY = re.compile(r"every\s+(?:(\d{1,9})\s+)?(second|minute|hour|day)s?", re.IGNORECASE)
_MOMENT = re.compile(r"\d{4}-\d\d?-\d\d?([ T].*)?")


@dataclasses.dataclass(frozen=True)
class Timing:
    """When something runs: one row of django-celery-beat's tables, maybe not stored yet, and whether it runs once."""

    kind: str  # interval, crontab, solar or clocked
    row: Any
    one_off: bool = False

    def fields(self) -> dict[str, Any]:
        """Return the fields of a schedule that runs so; rows that are alike are shared."""
        return {"interval": None, "crontab": None, "solar": None, "clocked": None, "one_off": self.one_off} | {
            self.kind: _shared(self.row)
        }

    def sketch(self, policy: SchedulePolicy | None = None) -> PeriodicTask:
        """Return a schedule that runs so, by this policy, and is not stored: to show its sentence and its next runs."""
        found = PeriodicTask(**{self.kind: self.row}, one_off=self.one_off, date_changed=timezone.now())
        if policy is not None:
            found._state.fields_cache["policy"] = policy
        return found


def read(text: str, zone: tzinfo | None = None) -> Timing:
    """Return when the text says; clocks are those of `zone`, or of the person who asks. Raises WrongArguments for `cron`."""
    text = " ".join(text.split())
    zone = zone or timezone.get_current_timezone()
    if text.lower().startswith("every"):
        return _interval(text)
    if sun.is_line(text):
        return _solar(text)
    return _moment(text, zone) if _MOMENT.fullmatch(text) else _crontab(text, zone)


def every(number: int, unit: str) -> str:
    """Return an interval as people write it: “every hour”, “every 15 minutes”; `unit` is of many."""
    return f"every {unit.removesuffix('s')}" if number == 1 else f"every {number} {unit}"


def written(row: PeriodicTask) -> str:
    """Return when a stored schedule runs as people write it; empty for what cannot be written in one line."""
    if row.interval:
        return every(row.interval.every, row.interval.period)
    if row.crontab:
        return " ".join(str(getattr(row.crontab, column)) for column in FIELDS.values())
    if row.solar:
        return sun.written(row.solar)
    return f"{timezone.localtime(row.clocked.clocked_time):%Y-%m-%d %H:%M}" if row.clocked else ""


def _solar(text: str) -> Timing:
    found = Timing("solar", sun.read(text))
    try:
        next_runs(found.sketch())
    except UnusableSchedule as error:
        raise _wrong(f"“{text}”: {str(error).rpartition(': ')[2]}. Choose another event or place.") from error
    return found


def _shared(row: Any) -> Any:
    """Return the stored row that says the same, else this one, stored now."""
    if row.pk:
        return row
    fields = {
        field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields if not field.primary_key
    }
    found = type(row)._default_manager.filter(**fields).first()
    if found is None:
        row.save()
    return found or row


def _interval(text: str) -> Timing:
    found = _EVERY.fullmatch(text)
    if found is None:
        raise _wrong(f"“{text}” is not understood: write “every N seconds”, minutes, hours or days.")
    every, period = int(found[1] or 1), f"{found[2].lower()}s"
    if not 0 < every * timedelta(**{period: 1}).total_seconds() <= LONGEST.total_seconds():
        raise _wrong(f"“{text}”: give a time from one second to 3650 days.")
    return Timing("interval", IntervalSchedule(every=every, period=period))


def _moment(text: str, zone: tzinfo) -> Timing:
    try:
        moment = parse_datetime(text)
    except ValueError:
        moment = None
    if moment is None:
        raise _wrong(moments.no_time(text))
    moment = moment if timezone.is_aware(moment) else timezone.make_aware(moment, zone)
    if not timezone.now() < moment <= timezone.now() + LONGEST:
        raise _wrong(f"“{text}” has passed, or is more than ten years ahead. Give a moment to come.")
    return Timing("clocked", ClockedSchedule(clocked_time=moment), one_off=True)


def _crontab(text: str, zone: tzinfo) -> Timing:
    words = text.split(" ")
    if len(words) != len(FIELDS):
        raise _wrong(f"“{text}” has {len(words)} fields and not five." if text else "There is nothing here.", REMEDY)
    fields = dict(zip(FIELDS.values(), words, strict=True))
    for called, column in FIELDS.items():
        _check_field(called, column, fields[column])
    found = Timing("crontab", CrontabSchedule(**fields, timezone=ZoneInfo(getattr(zone, "key", "UTC"))))
    try:
        next_runs(found.sketch())
    except UnusableSchedule as error:
        raise _wrong(f"“{text}”: this date never comes. Change the day of month or the month.") from error
    return found


def _check_field(called: str, column: str, text: str) -> None:
    try:
        crontab(**{column: text})
    except UNUSABLE as error:
        raise _wrong(f"The {called} “{text}” is not understood. Write *, */15, 0-30 or 0,15,30 there.") from error


def _wrong(*sentences: str) -> WrongArguments:
    return WrongArguments({"cron": [" ".join(sentences)]})

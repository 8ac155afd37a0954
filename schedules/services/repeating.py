"""Makes a schedule of what a person wrote on the launch page."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from celery.schedules import crontab
from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from common.arguments import WrongArguments
from schedules.exceptions import UnusableSchedule
from schedules.services.timing import UNUSABLE, next_runs

# The fields of a crontab in the order in which people write them, as they are called to people and by the table.
FIELDS = {
    "minute": "minute",
    "hour": "hour",
    "day of month": "day_of_month",
    "month": "month_of_year",
    "day of week": "day_of_week",
}
REMEDY = "Write five fields such as 0 6 * * 1-5 (six o'clock on working days), or “every 15 minutes”."
LONGEST = timedelta(days=3650)
_EVERY = re.compile(r"every\s+(?:(\d{1,9})\s+)?(second|minute|hour|day)s?", re.IGNORECASE)
_NAME = 200  # characters that the column holds


def repeat(
    *, task: str, args: Sequence[Any], kwargs: Mapping[str, Any], cron: str, name: str, queue: str, by: User
) -> PeriodicTask:
    """Make the schedule; its jobs belong to `by`. Raises WrongArguments with the fields `cron` and `schedule_name`.

    Args:
        task: name of a registered task, whose arguments have been checked.
        args: positional arguments as JSON.
        kwargs: named arguments as JSON.
        cron: five fields, or `every 15 minutes`.
        name: what it shall be called; without one, the task and `cron`, made unique.
        queue: where its jobs go.
        by: who set it.

    """
    cron = " ".join(cron.split())
    timing = _interval(cron) or _crontab(cron)
    name = name.strip() or _free_name(f"{task} {cron}")
    _check_name(name)
    row = PeriodicTask(
        name=name,
        task=task,
        args=json.dumps(list(args)),
        kwargs=json.dumps(dict(kwargs)),
        queue=queue or None,
        headers=json.dumps({"owner": by.pk}),
        description=f"Set by {by.get_username()} on the launch page.",
        **timing,
    )
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError as error:
        raise _taken(name) from error
    return row


def _interval(text: str) -> dict[str, IntervalSchedule] | None:
    """Return the interval that the text names, None when it names none."""
    if not text.lower().startswith("every"):
        return None
    found = _EVERY.fullmatch(text)
    if found is None:
        raise _wrong(f"“{text}” is not understood: write “every N seconds”, minutes, hours or days.")
    every, period = int(found[1] or 1), f"{found[2].lower()}s"
    if not 0 < every * timedelta(**{period: 1}).total_seconds() <= LONGEST.total_seconds():
        raise _wrong(f"“{text}”: give a time from one second to 3650 days.")
    row = IntervalSchedule.objects.filter(every=every, period=period).first()
    return {"interval": row or IntervalSchedule.objects.create(every=every, period=period)}


def _crontab(text: str) -> dict[str, CrontabSchedule]:
    words = text.split(" ")
    if len(words) != len(FIELDS):
        raise _wrong(f"“{text}” has {len(words)} fields and not five." if text else "There is nothing here.", REMEDY)
    fields = dict(zip(FIELDS.values(), words, strict=True))
    for called, column in FIELDS.items():
        _check_field(called, column, fields[column])
    found = CrontabSchedule(**fields, timezone=settings.CELERY_TIMEZONE)
    try:
        next_runs(PeriodicTask(crontab=found, date_changed=timezone.now()))
    except UnusableSchedule as error:
        raise _wrong(f"“{text}”: this date never comes. Change the day of month or the month.") from error
    return {"crontab": CrontabSchedule.objects.filter(**fields, timezone=found.timezone).first() or _saved(found)}


def _saved(row: CrontabSchedule) -> CrontabSchedule:
    row.save()
    return row


def _check_field(called: str, column: str, text: str) -> None:
    try:
        crontab(**{column: text})
    except UNUSABLE as error:
        raise _wrong(f"The {called} “{text}” is not understood. Write *, */15, 0-30 or 0,15,30 there.") from error


def _free_name(wanted: str) -> str:
    """Return the name, with a number where it is taken."""
    wanted = wanted[: _NAME - 6]
    taken = set(PeriodicTask.objects.filter(name__startswith=wanted).values_list("name", flat=True))
    taken.update(settings.CELERY_BEAT_SCHEDULE)
    return next(name for n in range(1, len(taken) + 2) if (name := wanted if n == 1 else f"{wanted} {n}") not in taken)


def _check_name(name: str) -> None:
    if len(name) > _NAME:
        raise WrongArguments({"schedule_name": [f"Write at most {_NAME} characters."]})
    if name in settings.CELERY_BEAT_SCHEDULE or PeriodicTask.objects.filter(name=name).exists():
        raise _taken(name)


def _taken(name: str) -> WrongArguments:
    return WrongArguments({"schedule_name": [f"There is a schedule called “{name}” already: choose another name."]})


def _wrong(*sentences: str) -> WrongArguments:
    return WrongArguments({"cron": [" ".join(sentences)]})

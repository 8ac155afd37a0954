"""Merges `CELERY_BEAT_SCHEDULE` into the rows, without overwriting what an admin has changed.

It is a three-way merge, field by field: what the settings said last time is remembered (`SettingsSchedule`), so a row's
field that still says it follows the settings, and one that says something else is the admin's.
"""

import contextlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from celery.schedules import crontab, schedule, solar
from django.db import models, transaction
from django.utils import timezone
from django_celery_beat.clockedschedule import clocked
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)

from jobroom.arguments import WrongArguments
from jobroom.schedules.exceptions import InvalidEntry
from jobroom.schedules.models import SettingsSchedule
from jobroom.schedules.services import policy
from jobroom.schedules.services.arguments import argument_problems, closest, registered_tasks
from jobroom.schedules.services.next_runs import LONGEST, UNUSABLE

logger = logging.getLogger(__name__)

ENTRY_KEYS = (
    "task",
    "schedule",
    "args",
    "kwargs",
    "options",
    "relative",
    "enabled",
    "one_off",
    "description",
    "expires",
    "policy",
)
OPTIONS = ("queue", "exchange", "routing_key", "priority", "headers", "expires", "expire_seconds")
KINDS = ("interval", "crontab", "solar", "clocked")
CRONTAB_FIELDS = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
# The fields of a row that the settings rule, with the words for them.
FIELDS = {
    "task": "task",
    "timing": "schedule",
    "args": "positional arguments",
    "kwargs": "keyword arguments",
    "queue": "queue",
    "exchange": "exchange",
    "routing_key": "routing key",
    "priority": "priority",
    "headers": "headers",
    "expire_seconds": "expiry",
    "enabled": "enabled",
    "one_off": "one-off",
    "description": "description",
    "expires": "end",
    "policy": "policy",
}
_JSON_FIELDS = {"args": list, "kwargs": dict, "headers": dict}
WITHDRAWN = "Switched off because it is no longer in the settings."


def merge_settings(entries: Mapping[str, Any]) -> dict[str, str]:
    """Bring the rows up to date with `entries`; return what became of each: created, updated, unchanged, withdrawn.

    A missing row is created, a row that has left the settings is disabled and says so; an entry that is wrong is
    logged and left alone. Django's database errors are the caller's.
    """
    outcomes = {}
    with transaction.atomic():
        records = {record.name: record for record in SettingsSchedule.objects.select_related("row", *_rows())}
        for name, entry in entries.items():
            try:
                outcomes[name] = _merge(name, entry, records.get(name))
            except InvalidEntry as error:
                logger.warning("CELERY_BEAT_SCHEDULE[%r] is left out: %s", name, error)
        for name, record in records.items():
            if name not in entries and not record.gone:
                _withdraw(record)
                outcomes[name] = "withdrawn"
    for name, outcome in outcomes.items():
        if outcome != "unchanged":
            logger.info("Schedule %s of the settings: %s", name, outcome)
    return outcomes


def differing_fields(row: PeriodicTask, record: SettingsSchedule) -> list[str]:
    """Return the fields in which `row` is not what the settings say."""
    current = state(row)
    return [name for name in FIELDS if name in record.fields and current[name] != record.fields[name]]


def entry_problems(entry: Any) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with one entry of the settings, as pairs of sentence and remedy."""
    try:
        read(entry)
    except InvalidEntry as error:
        yield (
            str(error),
            "Write {'task': name, 'schedule': crontab(...) or seconds}; see docs/how-to/schedule-a-task.md.",
        )
        return
    unknown: list[tuple[str, tuple[str, ...]]] = [(key, ENTRY_KEYS) for key in entry if key not in ENTRY_KEYS]
    unknown += [(key, OPTIONS) for key in entry.get("options") or () if key not in OPTIONS]
    for key, known in unknown:
        yield f"“{key}” is not an option of a schedule, and is ignored.", closest(key, known)
    tasks = registered_tasks()
    if entry["task"] not in tasks:
        yield f"“{entry['task']}” is not a registered task.", closest(entry["task"], tasks)
        return
    for problem in argument_problems(tasks[entry["task"]], entry.get("args") or (), entry.get("kwargs") or {}):
        yield problem.text, f"Change the entry's {problem.field}."


def _rows() -> list[str]:
    return [f"row__{name}" for name in (*KINDS, "policy")]


def _merge(name: str, entry: Any, record: SettingsSchedule | None) -> str:
    wanted, timed = read(entry)
    if record is None:
        return _create(name, wanted, timed)
    row, outcome = record.row, "unchanged"
    if record.gone:
        row.description = row.description.replace(WITHDRAWN, "").strip()
        row.save(update_fields=["description"])
    current = state(row)
    # It was written before there were any.
    record.fields.setdefault("policy", {})
    record.fields.setdefault("expires", None)
    follows = [field for field in FIELDS if current[field] == record.fields.get(field) != wanted[field]]
    if follows:
        apply(row, {field: wanted[field] for field in follows}, timed)
        outcome = "updated"
    if record.gone or record.fields != wanted:
        record.fields, record.gone = wanted, False
        record.save()
    return outcome


def _create(name: str, wanted: dict[str, Any], timed: models.Model) -> str:
    row = PeriodicTask.objects.filter(name=name).first()
    if row is None:
        row, outcome = PeriodicTask(name=name), "created"
        apply(row, wanted, timed)
    else:
        outcome = "unchanged"
        other = SettingsSchedule.objects.filter(row=row).first()
        if other is not None:
            raise InvalidEntry(f"its name is taken by the row of “{other.name}”, which was renamed: rename one of them")
    SettingsSchedule.objects.create(name=name, row=row, fields=wanted)
    return outcome


def apply(row: PeriodicTask, values: dict[str, Any], timed: models.Model | None) -> None:
    """Write these fields only: beat and the admin may be writing others."""
    written = {"date_changed"}
    for field, value in values.items():
        if field == "timing" and timed is not None:
            _set_timing(row, timed)
            written.update(KINDS)
        elif field == "expires":
            row.expires = datetime.fromisoformat(value) if value else None
            written.add(field)
        elif field not in {"policy", "timing"}:
            setattr(row, field, json.dumps(value) if field in _JSON_FIELDS else value)
            written.add(field)
    if {"timing", "enabled"} & set(values):
        # What the old timing missed, or was missed while disabled, is not made up by the new one.
        row.last_run_at = None
        written.add("last_run_at")
    row.save(update_fields=None if row.pk is None else written)
    if values.get("policy") is not None and (values["policy"] or policy.chosen(row)):
        policy.write(row, {**policy.defaults(), **values["policy"]})


def _set_timing(row: PeriodicTask, timed: models.Model) -> None:
    for kind in KINDS:
        setattr(row, kind, _stored(timed) if timed._meta.model_name == f"{kind}schedule" else None)


def _stored(timed: models.Model) -> models.Model:
    """Return the row that says the same as `timed`; a new one if there is none."""
    fields = {field.name: getattr(timed, field.name) for field in timed._meta.concrete_fields if not field.primary_key}
    found: models.Model | None = type(timed)._default_manager.filter(**fields).first()
    if found is None:
        timed.save()
    return found or timed


def _withdraw(record: SettingsSchedule) -> None:
    row = record.row
    if row.enabled:
        # Remembered as ours, so that the schedule is enabled again if the entry comes back.
        record.fields["enabled"] = row.enabled = False
    row.description = f"{row.description}\n{WITHDRAWN}".strip()
    row.save(update_fields={"enabled", "description", "date_changed"})
    record.gone = True
    record.save()


def state(row: PeriodicTask) -> dict[str, Any]:
    """Return what the row says now, comparable with what the settings said."""
    plain = {field: getattr(row, field) for field in FIELDS if field not in {"timing", "expires", "policy"}}
    for field, kind in _JSON_FIELDS.items():
        with contextlib.suppress(ValueError):  # no JSON: certainly not what the settings said
            plain[field] = json.loads(plain[field]) if plain[field] else kind()
    expires = _iso(row.expires)
    return {**plain, "timing": _timing_text(row.scheduler), "expires": expires, "policy": policy.chosen(row)}


def _iso(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat() if moment is not None else None


def _timing_text(timed: models.Model | None) -> str:
    match timed:
        case CrontabSchedule():
            return " ".join(["crontab", *(str(getattr(timed, f)) for f in (*CRONTAB_FIELDS, "timezone"))])
        case IntervalSchedule():
            return f"interval {timedelta(**{timed.period: timed.every})}"
        case SolarSchedule():
            return f"solar {timed.event} {float(timed.latitude)} {float(timed.longitude)}"
        case ClockedSchedule():
            return f"clocked {timed.clocked_time.astimezone(ZoneInfo('UTC')).isoformat()}"
    return ""


def read(entry: Any) -> tuple[dict[str, Any], models.Model]:
    """Return the row's fields that an entry asks for, and its schedule, not saved; checks have no database to ask."""
    if not isinstance(entry, Mapping) or not isinstance(entry.get("task"), str) or "schedule" not in entry:
        raise InvalidEntry("it needs a task's name and a schedule")
    options = entry.get("options") or {}
    try:
        timed = _timed(entry["schedule"])
        args, kwargs = list(entry.get("args") or ()), dict(entry.get("kwargs") or {})
        values = json.loads(json.dumps({"args": args, "kwargs": kwargs, "headers": options.get("headers") or {}}))
        expire_seconds = _seconds(options.get("expire_seconds", options.get("expires")))
        expires = _iso(_end(entry, expire_seconds))
    except UNUSABLE as error:
        raise InvalidEntry(str(error)) from error
    return {
        "task": entry["task"],
        "timing": _timing_text(timed),
        **values,
        **{name: options.get(name) for name in ("queue", "exchange", "routing_key", "priority")},
        "expire_seconds": expire_seconds,
        "enabled": bool(entry.get("enabled", True)),
        "one_off": bool(entry.get("one_off", isinstance(timed, ClockedSchedule))),
        "description": str(entry.get("description") or ""),
        "expires": expires,
        "policy": _policy(entry, timed),
    }, timed


def _end(entry: Mapping[str, Any], expire_seconds: int | None) -> datetime | None:
    """Return when the schedule ends, by the clocks of the site where the time names no zone."""
    moment: Any = entry.get("expires")
    if moment is None:
        return None
    if not isinstance(moment, datetime):
        raise ValueError(f"its end is {moment!r}: write a datetime, or options={{'expires': seconds}} for its jobs")  # noqa: TRY004 — read with the others
    if expire_seconds is not None:
        raise ValueError("only one of its end and the expiry of its jobs can be set: leave one out")
    return moment if timezone.is_aware(moment) else timezone.make_aware(moment)


def _policy(entry: Mapping[str, Any], timed: models.Model) -> dict[str, Any]:
    given = {
        name: int(value.total_seconds()) if isinstance(value, timedelta) else value
        for name, value in dict(entry.get("policy") or {}).items()
    }
    try:
        policy.check(entry["task"], given, delayable=isinstance(timed, IntervalSchedule | CrontabSchedule))
    except WrongArguments as wrong:
        said = " ".join(f"{name}: {' '.join(texts)}" for name, texts in wrong.errors.items())
        raise InvalidEntry(f"its policy is wrong. {said}") from wrong
    return policy.without_defaults(given)


def _seconds(value: Any) -> int | None:
    if value is None:
        return None
    return int(value.total_seconds() if isinstance(value, timedelta) else value)


def _timed(value: Any) -> Any:
    if isinstance(value, int | float | timedelta) and not isinstance(value, bool):
        return _interval(value if isinstance(value, timedelta) else timedelta(seconds=value))
    for kind, read in _READERS:
        if isinstance(value, kind):
            return read(value)
    raise ValueError(f"its schedule is {value!r}: write crontab(...), a timedelta or a number of seconds")


def _interval(every: timedelta) -> IntervalSchedule:
    if every <= timedelta():
        raise ValueError(f"its interval is {every}: write one that is longer than nothing")
    if every > LONGEST:
        raise ValueError(f"its interval is {every}: write one of at most {LONGEST.days} days")
    for period in ("days", "hours", "minutes", "seconds", "microseconds"):
        count, rest = divmod(every, timedelta(**{period: 1}))
        if not rest:
            break
    return IntervalSchedule(every=count, period=period)


def _crontab(value: crontab) -> CrontabSchedule:
    # As it was written; where Celery does not keep that, the numbers that it means.
    given = {field: getattr(value, f"_orig_{field}", getattr(value, field)) for field in CRONTAB_FIELDS}
    fields = {
        field: str(spec) if isinstance(spec, str | int) else ",".join(str(number) for number in sorted(spec))
        for field, spec in given.items()
    }
    return CrontabSchedule(**fields, timezone=ZoneInfo(str(value.tz)))


def _solar(value: solar) -> SolarSchedule:
    return SolarSchedule(event=value.event, latitude=value.lat, longitude=value.lon)


def _clocked(value: clocked) -> ClockedSchedule:
    return ClockedSchedule(clocked_time=value.clocked_time)


_READERS: tuple[tuple[type, Callable[[Any], models.Model]], ...] = (
    (crontab, _crontab),
    (solar, _solar),
    (clocked, _clocked),
    (schedule, lambda value: _interval(value.run_every)),
)

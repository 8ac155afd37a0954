"""Writes to schedules that neither undo what beat writes at the same moment, nor make old runs due."""

import logging
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from django.db import models
from django.db.models import QuerySet
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from jobroom.schedules.models import ScheduleDetail
from jobroom.schedules.services import marks
from jobroom.schedules.services.next_runs import comes_from_ahead

logger = logging.getLogger(__name__)

# A change of these begins a new count: the last run of the old timing must not make the new one due at once.
TIMING = ("interval_id", "crontab_id", "solar_id", "clocked_id", "start_time", "enabled", "one_off")
# Written by beat.
RUNS = ("last_run_at", "total_run_count")
# Left by `before_save` for `after_save`.
_RESTART = "_schedules_restart"


def save(row: PeriodicTask, changed: Collection[str], *, created: bool) -> None:
    """Save a row of which the fields `changed` were edited."""
    if created:
        row.save()
        return
    fields = {field.name for field in row._meta.concrete_fields} & set(changed)
    row.save(update_fields=fields | {"date_changed"})


def set_enabled(rows: QuerySet[PeriodicTask], *, enabled: bool) -> int:
    """Enable or disable the rows; return how many that changed. What was missed meanwhile is not made up."""
    changed = PeriodicTask.objects.filter(pk__in=[row.pk for row in rows]).exclude(enabled=enabled)
    if enabled:
        forget_pause([row.pk for row in changed])
    return restart(changed, enabled=enabled)


def forget_pause(rows: Iterable[Any]) -> None:
    """Forget who paused these schedules and why: they run again."""
    paused = ScheduleDetail.objects.filter(row__in=list(rows), paused_at__isnull=False)
    paused.update(paused_by="", paused_at=None, pause_reason="", paused_until=None, resumed_at=timezone.now())


def restart(rows: QuerySet[PeriodicTask], **fields: Any) -> int:
    """Let the rows count from now on, changing `fields` too; return how many."""
    named = list(rows.values_list("pk", flat=True))
    count = rows.update(last_run_at=None, date_changed=timezone.now(), **fields)
    marks.changed(named)
    return count


def before_save(row: PeriodicTask) -> None:
    """Forget the last run where the timing of a stored row is about to change, no matter who saves it, and from where.

    A row that was read before its last run takes that run over: saved as it is, it would run once more. Who sets a later
    `last_run_at` in the same save means it, and is left alone.
    """
    setattr(row, _RESTART, False)
    was = PeriodicTask.objects.filter(pk=row.pk).values(*TIMING, *RUNS, "expires").first() if row.pk else None
    if was is None:
        return
    if row.total_run_count < was["total_run_count"]:
        row.total_run_count, row.last_run_at = was["total_run_count"], was["last_run_at"]
    meant = row.last_run_at is not None and (was["last_run_at"] is None or row.last_run_at > was["last_run_at"])
    if not meant and (any(getattr(row, name) != was[name] for name in TIMING) or _goes_on(row, was["expires"])):
        row.last_run_at = None
        setattr(row, _RESTART, True)


def _goes_on(row: PeriodicTask, ended: datetime | None) -> bool:
    """Return whether a schedule that had ended goes on: what would have run meanwhile was not missed."""
    return ended is not None and ended <= timezone.now() and row.expires != ended


def after_save(row: PeriodicTask, update_fields: Collection[str] | None) -> None:
    """Write what `before_save` decided where the save itself was limited to other columns."""
    if (
        not getattr(row, _RESTART, False)
        or update_fields is None
        or {"last_run_at", "date_changed"} <= {*update_fields}
    ):
        return
    row.date_changed = timezone.now()
    restart(PeriodicTask.objects.filter(pk=row.pk))


def timing_differs(timed: models.Model) -> bool:
    """Return whether saving an interval, crontab, solar event or clocked time would change the stored one."""
    fields = [field.attname for field in timed._meta.concrete_fields]
    was = type(timed)._default_manager.filter(pk=timed.pk).values(*fields).first() if timed.pk else None
    return was is not None and any(str(getattr(timed, name)) != str(was[name]) for name in fields)


def repair_clock(rows: Iterable[PeriodicTask]) -> Iterable[PeriodicTask]:
    """Yield the rows; those that count from a time that lies ahead count from now on, which is logged and noted once."""
    for row in rows:
        now = timezone.now()
        if comes_from_ahead(row, now):
            _count_from(row, now)
        yield row


def _count_from(row: PeriodicTask, now: Any) -> None:
    ahead = row.last_run_at or row.date_changed
    as_read = {"pk": row.pk, "last_run_at": row.last_run_at, "date_changed": row.date_changed}
    if not PeriodicTask.objects.filter(**as_read).update(last_run_at=None, date_changed=now):
        return  # another scheduler has seen to it, or a person: the row is read again
    row.last_run_at, row.date_changed = None, now
    notice = f"A clock was set back: it had counted from {ahead:%Y-%m-%d %H:%M:%S %Z}, and counts from {now:%Y-%m-%d %H:%M:%S %Z} now."
    ScheduleDetail.objects.update_or_create(row=row, defaults={"notice": notice})
    logger.warning("Schedule %s: %s", row.name, notice)

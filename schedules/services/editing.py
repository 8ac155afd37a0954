"""Writes of the admin, which must not undo what beat writes at the same moment, nor make old runs due."""

from collections.abc import Collection

from django.db.models import QuerySet
from django.utils import timezone
from django_celery_beat.models import PeriodicTask, PeriodicTasks

# A change of these begins a new count: the last run of the old timing must not make the new one due at once.
TIMING = frozenset({"interval", "crontab", "solar", "clocked", "start_time", "enabled", "one_off"})
# Written by beat alone.
RUNS = frozenset({"last_run_at", "total_run_count"})


def save(row: PeriodicTask, changed: Collection[str], *, created: bool) -> None:
    """Save a row of which the fields `changed` were edited."""
    if created:
        row.save()
        return
    fields = {field.name for field in row._meta.concrete_fields} & set(changed)
    if TIMING & fields:
        row.last_run_at = None
        fields.add("last_run_at")
    row.save(update_fields=fields | {"date_changed"})


def set_enabled(rows: QuerySet[PeriodicTask], *, enabled: bool) -> int:
    """Enable or disable the rows; return how many that changed. What was missed meanwhile is not made up."""
    changed = PeriodicTask.objects.filter(pk__in=[row.pk for row in rows]).exclude(enabled=enabled)
    return restart(changed, enabled=enabled)


def restart(rows: QuerySet[PeriodicTask], **fields: bool) -> int:
    """Let the rows count from now on, changing `fields` too; return how many."""
    count = rows.update(last_run_at=None, date_changed=timezone.now(), **fields)
    PeriodicTasks.update_changed()
    return count

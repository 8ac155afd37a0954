"""Receivers of signals in the schedules app: of the launch page, of jobs that ended, and of rows that any code saves."""

from datetime import datetime
from typing import Any

from django.db.models import Exists, OuterRef, Q
from django.db.models.signals import post_delete, post_save, pre_save
from django.urls import reverse
from django_celery_beat.models import PeriodicTask, PeriodicTasks

from jobroom.jobs.models import Job
from jobroom.jobs.policies import sees_all
from jobroom.jobs.signals import (
    coming_asked,
    missed_asked,
    repetition_fields_asked,
    repetition_wanted,
    schedule_asked,
    schedules_asked,
)
from jobroom.schedules import policies, services
from jobroom.schedules.filters import RELATED, bare
from jobroom.schedules.models import RunState, ScheduledRun
from jobroom.schedules.page_policy import calendar_fields
from jobroom.schedules.services import failures, marks, writes
from jobroom.schedules.services.next_runs import sentence
from jobroom.signals import jobs_recorded
from jobroom.users import User

# So many schedules are shown in the catalogue; anyone who has more looks at the list of schedules.
MOST_PLANNED = 500


def connect() -> None:
    """Connect the receiver; twice is the same as once."""
    repetition_wanted.connect(_repeat, dispatch_uid="jobroom.schedules.repeat")
    repetition_fields_asked.connect(_fields, dispatch_uid="jobroom.schedules.fields")
    coming_asked.connect(_coming, dispatch_uid="jobroom.schedules.coming")
    missed_asked.connect(_missed, dispatch_uid="jobroom.schedules.missed")
    schedule_asked.connect(_is_there, dispatch_uid="jobroom.schedules.is_there")
    schedules_asked.connect(_planned, dispatch_uid="jobroom.schedules.planned")
    jobs_recorded.connect(_ended, dispatch_uid="jobroom.schedules.ended")
    pre_save.connect(_before_row, sender=PeriodicTask, dispatch_uid="jobroom.schedules.before_row")
    post_save.connect(_after_row, sender=PeriodicTask, dispatch_uid="jobroom.schedules.after_row")
    post_delete.connect(_gone, sender=PeriodicTask, dispatch_uid="jobroom.schedules.gone")
    marks.take_over()
    for timed in marks.TIMED:
        pre_save.connect(_before_timing, sender=timed, dispatch_uid="jobroom.schedules.before_timing")
        post_save.connect(_after_timing, sender=timed, dispatch_uid="jobroom.schedules.after_timing")


def _missed(user: User, since: datetime, name: str = "", **_: Any) -> list[tuple[str, int, datetime]]:
    """Return the latest missed run of each schedule, unless a job of it was sent since."""
    runs = ScheduledRun.objects.filter(state=RunState.MISSED, at__gte=since, row__in=policies.visible_to(user))
    runs = runs.filter(row__name=name) if name else runs
    sent = Job.objects.filter(schedule=OuterRef("row__name"), created_at__gt=OuterRef("at")).exclude(schedule="")
    later = runs.filter(Q(due__gt=OuterRef("due")) | Q(due=OuterRef("due"), pk__gt=OuterRef("pk")), row=OuterRef("row"))
    latest = runs.filter(~Exists(later), ~Exists(sent)).order_by("due", "pk")
    return list(latest.values_list("row__name", "row", "due")[:MOST_PLANNED])


def _is_there(name: str, **_: Any) -> bool:
    return bool(PeriodicTask.objects.filter(name=name).exists())


def _ended(ended: list[tuple[str, str, str]], **_: Any) -> None:
    failed = [job for job, _, state in ended if state in failures.FAILURES]
    if failed:
        failures.look(failed)


def _before_row(instance: PeriodicTask, *, raw: bool = False, **_: Any) -> None:
    if not raw:  # a fixture is loaded as it was written
        writes.before_save(instance)


def _after_row(instance: PeriodicTask, *, update_fields: Any = None, raw: bool = False, **_: Any) -> None:
    if not raw:
        writes.after_save(instance, update_fields)
        if instance.enabled:
            writes.forget_pause([instance.pk])
    if not marks.is_quiet(instance):
        marks.changed([instance.pk])


def _gone(instance: PeriodicTask, **_: Any) -> None:
    marks.changed([instance.pk])


def _before_timing(instance: Any, *, raw: bool = False, **_: Any) -> None:
    marks.take_over()  # django-celery-beat connects later where it comes after us in INSTALLED_APPS
    instance._schedules_restart = not raw and writes.timing_differs(instance)
    if raw:
        PeriodicTasks.update_changed()


def _after_timing(instance: Any, **_: Any) -> None:
    """Let the schedules count from now on: what the old time missed is not made up by the new one."""
    if instance._schedules_restart:
        services.restart(instance.periodictask_set.all())


def _repeat(*, signal: Any = None, sender: Any = None, **wanted: Any) -> str:
    """Make the schedule; return the address at which the person finds it."""
    return reverse("jobroom:schedules:schedule", args=[services.repeat(**wanted).pk])


def _fields(**_: Any) -> dict[str, Any]:
    return calendar_fields()


def _coming(*, user: User, **_: Any) -> list[tuple[datetime, str, str]]:
    """Return the next run of each schedule that the person may see."""
    rows = policies.visible_to(user).filter(enabled=True).select_related(*RELATED).order_by("name")
    found = []
    for row in bare(rows[:MOST_PLANNED]):
        if (moment := row.next_run) is not None:
            found.append((moment, row.schedule.name, reverse("jobroom:schedules:schedule", args=[row.schedule.pk])))
    return found


def _planned(*, user: User, **_: Any) -> dict[str, list[tuple[str, str]]]:
    """Return when each task runs by itself, with the address of the schedule for whom may see it."""
    shown = None if sees_all(user) else set(policies.visible_to(user).values_list("pk", flat=True))
    rows = PeriodicTask.objects.filter(enabled=True).select_related("crontab", "interval", "solar", "clocked")
    found: dict[str, list[tuple[str, str]]] = {}
    for row in rows.order_by("name")[:MOST_PLANNED]:
        address = reverse("jobroom:schedules:schedule", args=[row.pk]) if shown is None or row.pk in shown else ""
        found.setdefault(row.task, []).append((sentence(row), address))
    return found

"""What the schedules do when others ask for one, and when a row is saved from wherever."""

from datetime import datetime
from typing import Any

from django.db.models.signals import post_save, pre_save
from django.urls import reverse
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, SolarSchedule

from jobroom.jobs.policies import sees_all
from jobroom.jobs.signals import coming_asked, repetition_wanted, schedules_asked
from jobroom.schedules import policies, services
from jobroom.schedules.filters import RELATED, Row
from jobroom.schedules.services import writes
from jobroom.schedules.services.next_runs import sentence
from jobroom.users import User

# So many schedules are shown in the catalogue; anyone who has more looks at the list of schedules.
MOST_PLANNED = 500


def connect() -> None:
    """Connect the receiver; twice is the same as once."""
    repetition_wanted.connect(_repeat, dispatch_uid="jobroom.schedules.repeat")
    coming_asked.connect(_coming, dispatch_uid="jobroom.schedules.coming")
    schedules_asked.connect(_planned, dispatch_uid="jobroom.schedules.planned")
    pre_save.connect(_before_row, sender=PeriodicTask, dispatch_uid="jobroom.schedules.before_row")
    post_save.connect(_after_row, sender=PeriodicTask, dispatch_uid="jobroom.schedules.after_row")
    for timed in (IntervalSchedule, CrontabSchedule, SolarSchedule, ClockedSchedule):
        pre_save.connect(_before_timing, sender=timed, dispatch_uid="jobroom.schedules.before_timing")
        post_save.connect(_after_timing, sender=timed, dispatch_uid="jobroom.schedules.after_timing")


def _before_row(instance: PeriodicTask, *, raw: bool = False, **_: Any) -> None:
    if not raw:  # a fixture is loaded as it was written
        writes.before_save(instance)


def _after_row(instance: PeriodicTask, *, update_fields: Any = None, raw: bool = False, **_: Any) -> None:
    if not raw:
        writes.after_save(instance, update_fields)
        if instance.enabled:
            writes.forget_pause([instance.pk])


def _before_timing(instance: Any, *, raw: bool = False, **_: Any) -> None:
    instance._schedules_restart = not raw and writes.timing_differs(instance)


def _after_timing(instance: Any, **_: Any) -> None:
    """Let the schedules count from now on: what the old time missed is not made up by the new one."""
    if instance._schedules_restart:
        services.restart(instance.periodictask_set.all())


def _repeat(*, signal: Any = None, sender: Any = None, **wanted: Any) -> str:
    """Make the schedule; return the address at which the person finds it."""
    return reverse("jobroom:schedules:schedule", args=[services.repeat(**wanted).pk])


def _coming(*, user: User, **_: Any) -> list[tuple[datetime, str, str]]:
    """Return the next run of each schedule that the person may see."""
    rows = policies.visible_to(user).filter(enabled=True).select_related(*RELATED).order_by("name")
    found = []
    for row in (Row(one, None) for one in rows[:MOST_PLANNED]):
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

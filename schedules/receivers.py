"""What the schedules do when others ask for one."""

from typing import Any
from urllib.parse import quote

from django.contrib.auth.models import User
from django.urls import reverse
from django_celery_beat.models import PeriodicTask

from jobs.signals import repetition_wanted, schedules_asked
from schedules import services
from schedules.services.timing import sentence

# So many schedules are shown in the catalogue; whoever has more looks at the list of schedules.
MOST_PLANNED = 500


def connect() -> None:
    """Connect the receiver; twice is the same as once."""
    repetition_wanted.connect(_repeat, dispatch_uid="schedules.repeat")
    schedules_asked.connect(_planned, dispatch_uid="schedules.planned")


def _repeat(*, task: str, args: Any, kwargs: Any, cron: str, name: str, queue: str, by: User, **_: Any) -> str:
    """Make the schedule; return the address at which the person finds it."""
    row = services.repeat(task=task, args=args, kwargs=kwargs, cron=cron, name=name, queue=queue, by=by)
    if by.is_staff and by.has_perm("django_celery_beat.view_periodictask"):
        return reverse("admin:django_celery_beat_periodictask_change", args=[row.pk])
    return f"{reverse('jobs:jobs')}?schedule={quote(row.name)}"


def _planned(*, user: User, **_: Any) -> dict[str, list[tuple[str, str]]]:
    """Return when each task runs by itself, with the address of the schedule for whom may see it."""
    linked = user.is_staff and user.has_perm("django_celery_beat.view_periodictask")
    rows = PeriodicTask.objects.filter(enabled=True).select_related("crontab", "interval", "solar", "clocked")
    found: dict[str, list[tuple[str, str]]] = {}
    for row in rows.order_by("name")[:MOST_PLANNED]:
        address = reverse("admin:django_celery_beat_periodictask_change", args=[row.pk]) if linked else ""
        found.setdefault(row.task, []).append((sentence(row), address))
    return found

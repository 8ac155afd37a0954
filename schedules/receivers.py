"""What the schedules do when others ask for one."""

from typing import Any
from urllib.parse import quote

from django.contrib.auth.models import User
from django.urls import reverse

from jobs.signals import repetition_wanted
from schedules import services


def connect() -> None:
    """Connect the receiver; twice is the same as once."""
    repetition_wanted.connect(_repeat, dispatch_uid="schedules.repeat")


def _repeat(*, task: str, args: Any, kwargs: Any, cron: str, name: str, queue: str, by: User, **_: Any) -> str:
    """Make the schedule; return the address at which the person finds it."""
    row = services.repeat(task=task, args=args, kwargs=kwargs, cron=cron, name=name, queue=queue, by=by)
    if by.is_staff and by.has_perm("django_celery_beat.view_periodictask"):
        return reverse("admin:django_celery_beat_periodictask_change", args=[row.pk])
    return f"{reverse('jobs:jobs')}?schedule={quote(row.name)}"

"""Who may see and change which schedules: staff all, others those whose jobs are theirs."""

import json
from collections.abc import Iterable
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db.models import QuerySet
from django_celery_beat.models import PeriodicTask

from jobroom.jobs import policies
from jobroom.users import User


def owner_id(row: PeriodicTask) -> int | None:
    """Return whose jobs the schedule's jobs are; None for one of the machine, which the settings or the admin made."""
    try:
        headers: Any = json.loads(row.headers or "{}")
    except ValueError:
        return None
    found = headers.get("owner") if isinstance(headers, dict) else None
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def visible_to(user: User | AnonymousUser) -> "QuerySet[PeriodicTask]":
    """Return the schedules that the user may see, and so change."""
    rows: QuerySet[PeriodicTask] = PeriodicTask.objects.all()
    if policies.sees_all(user):
        return rows
    if not user.is_authenticated or not user.is_active:
        return rows.none()
    return of_owner(rows, user.pk)


def of_owner(rows: "QuerySet[PeriodicTask]", owner: int) -> "QuerySet[PeriodicTask]":
    """Return those of the rows whose owner it is."""
    # The text alone would find 12 where 1 is asked for: what it finds is read.
    near = rows.filter(headers__contains=f'"owner": {owner}')
    return rows.filter(pk__in=[row.pk for row in near.only("pk", "headers") if owner_id(row) == owner])


def owners_of(rows: Iterable[PeriodicTask]) -> dict[int, User]:
    """Return the owners of some schedules, by their ids."""
    return User._default_manager.in_bulk({pk for row in rows if (pk := owner_id(row)) is not None})


def why_not_delete(row: PeriodicTask) -> str:
    """Return why the schedule cannot be deleted; empty if it can be."""
    record = getattr(row, "settings_schedule", None)
    if record is not None and not record.gone:
        return "It comes from the settings, and the next start of beat would bring it back. Pause it instead."
    return ""


def may_change_calendars(user: User | AnonymousUser) -> bool:
    """Return whether the user may make, change and delete calendars, which schedules of many people follow: staff may."""
    return policies.sees_all(user)

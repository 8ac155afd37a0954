"""Makes a schedule from the launch page of a task."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from celery import current_app
from django.db import IntegrityError, transaction
from django_celery_beat.models import PeriodicTask

from jobroom.arguments import WrongArguments
from jobroom.schedules import audit
from jobroom.schedules.services import ends, notation
from jobroom.schedules.services import policy as run_policy
from jobroom.schedules.services.writes import save
from jobroom.users import User

_NAME = 200  # characters that the column holds


def repeat(
    *,
    task: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    cron: str,
    name: str,
    queue: str,
    by: User,
    description: str = "",
    expires: datetime | None = None,
    policy: Mapping[str, Any] | None = None,
) -> PeriodicTask:
    """Make the schedule; its jobs belong to `by`. Raises WrongArguments with the fields `cron`, `schedule_name`, `expires`, and those of the policy.

    Args:
        task: name of a registered task, whose arguments have been checked.
        args: positional arguments as JSON.
        kwargs: named arguments as JSON.
        cron: five fields, `every 15 minutes`, or a moment; by the clocks of the zone that the person has chosen.
        name: what it should be called; without one, the task and `cron`, made unique. Names are unique over all people, so
            what is set by those who may not see the schedules of others has their user name with it: a name that is taken
            would reveal a schedule that is hidden from them.
        queue: where its jobs go.
        by: who set it.
        description: what it is for.
        expires: when it ends.
        policy: what becomes of its runs, by the names of `services.policy`: such as the calendars that it follows.

    """
    ends.check(None, expires)
    cron = " ".join(cron.split())
    timing = notation.read(cron)
    name = _own_name(name.strip(), f"{task} {cron}", by)
    row = PeriodicTask(
        name=name,
        task=task,
        args=json.dumps(list(args)),
        kwargs=json.dumps(dict(kwargs)),
        queue=queue or None,
        headers=_headers(by),
        description=description or f"Set by {by.get_username()}.",
        expires=expires,
    )
    try:
        with transaction.atomic():
            for field, value in timing.fields().items():
                setattr(row, field, value)
            row.save()
            if policy:
                run_policy.change(row, by=by, given=policy)
    except IntegrityError as error:
        raise _taken(name) from error
    audit.record(by, "made", row.name, outcome=f"It runs {cron}.")
    return row


def change(row: PeriodicTask, *, by: User, cron: str, name: str, **fields: Any) -> None:
    """Change a schedule and leave its owner as it is; raise WrongArguments as `repeat` does.

    Args:
        row: the schedule, as it is stored.
        by: who changes it.
        cron: when it runs; what is written there already changes nothing, also where no line can say it.
        name: what it should be called.
        fields: other columns: args and kwargs as JSON text, queue, description, expires.

    """
    changed: dict[str, Any] = dict(fields)
    ends.check(row, changed.get("expires", row.expires))
    if " ".join(cron.split()) != notation.written(row):
        zone = row.crontab.timezone if row.crontab else None
        changed |= notation.read(cron, zone).fields()
    if (name := name.strip()) and name != row.name:
        changed["name"] = _own_name(name, "", by)
    for field, value in changed.items():
        setattr(row, field, value)
    try:
        with transaction.atomic():
            save(row, [*changed, *(f"{field}_id" for field in changed)], created=False)
    except IntegrityError as error:
        raise _taken(name) from error


def _free_name(wanted: str) -> str:
    """Return the name, with a number where it is taken."""
    wanted = wanted if len(wanted) <= _NAME - 6 else wanted[: _NAME - 6]
    taken = set(PeriodicTask.objects.filter(name__startswith=wanted).values_list("name", flat=True))
    taken.update(_of_settings())
    return next(name for n in range(1, len(taken) + 2) if (name := wanted if n == 1 else f"{wanted} {n}") not in taken)


def _own_name(wanted: str, otherwise: str, by: User) -> str:
    """Return the name that the schedule gets; raise WrongArguments where it is too long, or taken by one of one's own."""
    if len(wanted) > _NAME:
        raise WrongArguments({"schedule_name": [f"Write at most {_NAME} characters."]})
    if by.is_staff:
        _check_free(wanted)
        return wanted or _free_name(otherwise)
    mark = f" ({by.get_username()[:40]})"
    name = f"{wanted[: _NAME - 6 - len(mark)]}{mark}"
    mine = PeriodicTask.objects.filter(name=name, headers=_headers(by)).exists()
    if wanted and mine:
        raise _taken(wanted)
    return _free_name(name if wanted else f"{otherwise[: _NAME - 6 - len(mark)]}{mark}")


def _headers(by: User) -> str:
    """Return the headers of the messages: whose jobs they are."""
    return json.dumps({"owner": by.pk})


def _of_settings() -> Mapping[str, Any]:
    """Return the schedules of the settings by name, whatever they are called there; most projects have none."""
    entries: Mapping[str, Any] = current_app.conf.beat_schedule or {}
    return entries


def _check_free(name: str) -> None:
    if name and (name in _of_settings() or PeriodicTask.objects.filter(name=name).exists()):
        raise _taken(name)


def _taken(name: str) -> WrongArguments:
    return WrongArguments({"schedule_name": [f"There is a schedule called “{name}” already: choose another name."]})

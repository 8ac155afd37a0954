"""Changes a schedule in a person's name: the same checks for its page and the API."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from django_celery_beat.models import PeriodicTask

from jobroom.arguments import WrongArguments
from jobroom.jobs import gate, launches
from jobroom.jobs.exceptions import JobError
from jobroom.jobs.gate import Checked
from jobroom.schedules import audit, services
from jobroom.schedules.policies import owner_id
from jobroom.schedules.services import notation
from jobroom.users import User
from jobroom.web.versions import version_of

# What a version of a schedule is of.
VERSIONED = ("name", "args", "kwargs", "interval", "crontab", "clocked", "queue", "description", "expires")


def change(
    row: PeriodicTask,
    *,
    by: User,
    arguments: Mapping[str, Any] | Checked,
    line: str,
    name: str,
    queue: str,
    description: str,
    expires: datetime | None,
    check_version: Callable[[str], None] = lambda version: None,
) -> None:
    """Change a schedule; both who changes it and who owns it must be allowed what it launches.

    `check_version` is called with the version that is stored, under its lock: where it raises, nothing is written.

    Raises WrongArguments with the wrong fields (`cron`, `schedule_name` and `expires` among them), and what `gate.admit` raises.
    """
    order, args, kwargs = launches.kept_call(task=row.task, arguments=arguments, by=by, queue=queue)
    owner = User._default_manager.filter(pk=owner_id(row) or 0, is_active=True).first()
    if owner is not None and owner != by:
        try:
            gate.admit_call(row.task, args, kwargs, owner, order.queue)
        except (JobError, WrongArguments) as error:
            reason = f"Its jobs run with the rights of its owner {owner.get_username()}, who may not have this: {error}"
            raise WrongArguments({"owner": [reason]}) from error
    fields: dict[str, Any] = {"args": json.dumps(args), "kwargs": json.dumps(kwargs), "description": description}
    fields["expires"] = expires
    with transaction.atomic():
        check_version(version_of(PeriodicTask.objects.select_for_update().filter(pk=row.pk).first(), VERSIONED))
        services.change(row, by=by, cron=line, name=name, queue=order.queue, **fields)
    audit.record(by, "changed", row.name, outcome=f"It runs {line}.")


def line_of(row: PeriodicTask) -> str:
    """Return when the schedule runs now, in the line that changes nothing."""
    return notation.written(row)

"""What beat and *Run now* send for a schedule."""

import json
from typing import Any

from celery import current_app
from django_celery_beat.models import PeriodicTask
from kombu.exceptions import OperationalError

from common import tracking
from common.tasks import enqueue
from schedules.exceptions import NotSent, UnusableSchedule
from schedules.services.arguments import argument_problems, closest, registered_tasks


def broker_errors(app: Any) -> tuple[type[Exception], ...]:
    """Return what sending raises when the broker is away for a moment, as against a message that can never be sent."""
    return (OperationalError, OSError, *app.connection_for_write().connection_errors)


def message(row: PeriodicTask) -> tuple[list[Any], dict[str, Any], dict[str, Any]]:
    """Return positional arguments, named arguments and send options; raise UnusableSchedule when they are no JSON.

    The header `periodic_task_name` is what tells the book which schedule a job comes from.
    """
    args = _json(row, "args", list)
    kwargs = _json(row, "kwargs", dict)
    options = {
        name: getattr(row, name)
        for name in ("queue", "exchange", "routing_key", "priority")
        if getattr(row, name) not in (None, "")
    }
    if row.expires_:
        options["expires"] = row.expires_
    options["headers"] = {**_json(row, "headers", dict), "periodic_task_name": row.name}
    return args, kwargs, options


def _json(row: PeriodicTask, field: str, kind: type) -> Any:
    try:
        value = json.loads(getattr(row, field) or json.dumps(kind()))
    except ValueError as error:
        raise UnusableSchedule(f"{field} is no JSON: {error}") from error
    if not isinstance(value, kind):
        raise UnusableSchedule(f"{field} must be a JSON {'list' if kind is list else 'object'}")
    return value


def run_now(row: PeriodicTask) -> str:
    """Send the schedule's job now, whatever its time, and leave its next run alone; return the job's id.

    The job carries the schedule's name, and says that a person launched it from a page. Raises NotSent.
    """
    tasks = registered_tasks()
    if row.task not in tasks:
        raise NotSent(f"“{row.task}” is not a registered task. {closest(row.task, tasks)}")
    try:
        args, kwargs, options = message(row)
    except UnusableSchedule as error:
        raise NotSent(f"{error}. Edit the schedule.") from error
    problems = argument_problems(tasks[row.task], args, kwargs)
    if problems:
        raise NotSent(" ".join(problem.text for problem in problems))
    options.pop("expires", None)  # it is about late runs, and this one is asked for now
    origin = tracking.source.set("page")
    try:
        return str(enqueue(row.task, args, kwargs, **options).id)
    except broker_errors(current_app) as error:
        raise NotSent("The broker does not answer, nothing was sent. Try again in a moment.") from error
    finally:
        tracking.source.reset(origin)

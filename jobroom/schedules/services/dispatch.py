"""Sends the job of a schedule, for beat and for *Run now*."""

import json
from typing import Any

from celery import current_app
from django_celery_beat.models import PeriodicTask
from kombu.exceptions import OperationalError

from jobroom.arguments import WrongArguments
from jobroom.celery import tracker
from jobroom.jobs import gate, limits
from jobroom.jobs.exceptions import JobError, NotAllowed
from jobroom.schedules import audit
from jobroom.schedules.exceptions import NotSent, UnusableSchedule
from jobroom.schedules.services.arguments import argument_problems, closest, registered_tasks
from jobroom.tasks import enqueue
from jobroom.users import User


def broker_errors(app: Any) -> tuple[type[Exception], ...]:
    """Return what sending raises when the broker is away for a moment, as against a message that can never be sent."""
    return (OperationalError, OSError, *app.connection_for_write().connection_errors)


def message(row: PeriodicTask) -> tuple[list[Any], dict[str, Any], dict[str, Any]]:
    """Return positional arguments, named arguments and send options; raise UnusableSchedule when they are no JSON.

    The header `periodic_task_name` is what names to the database which schedule a job comes from.
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


def refusal(row: PeriodicTask, args: list[Any], kwargs: dict[str, Any], by: User | None = None) -> str:
    """Return why the schedule may not run now; empty if it may.

    A person's schedule runs with the rights that its owner has now, and *Run now* with those of `by` as well. One that the
    settings or the admin made belongs to the machine.
    """
    owner = json.loads(row.headers or "{}").get("owner")
    try:
        if owner is not None:
            gate.admit_call(row.task, args, kwargs, _owner(owner), row.queue or "")
        if by is not None:
            gate.admit_call(row.task, args, kwargs, by)
    except (JobError, WrongArguments) as error:
        return str(error)
    return ""


def _owner(pk: Any) -> User:
    found = User.objects.filter(pk=pk, is_active=True).first() if isinstance(pk, int) else None
    if found is None:
        raise NotAllowed("The account of its owner is closed.")
    return found


def refusal_of(row: PeriodicTask) -> str:
    """Return why the schedule may not run now, as it stands; empty if it may, or cannot be read at all."""
    if (row.headers or "{}") == "{}":
        return ""  # no one's
    try:
        args, kwargs, _ = message(row)
    except UnusableSchedule:
        return ""
    return refusal(row, args, kwargs)


def run_now(row: PeriodicTask, by: User | None = None) -> str:
    """Send the schedule's job now, whatever its time, and leave its next run alone; return the job's id.

    `by` is who asks for it; None is the machine. The job carries the schedule's name, and says that a person launched it from a page. Raises NotSent, and TooMany beyond what `by` may launch.
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
    if reason := refusal(row, args, kwargs, by):
        raise NotSent(reason)
    limits.allow_launch(by, row.task)
    options.pop("expires", None)  # it is about late runs, and this one is asked for now
    origin = tracker.source.set("page")
    try:
        job = str(enqueue(row.task, args, kwargs, **options).id)
    except broker_errors(current_app) as error:
        raise NotSent("The broker does not answer, nothing was sent. Try again in a moment.") from error
    finally:
        tracker.source.reset(origin)
    audit.record(by, "ran now", row.name, outcome=f"Sent as job {job}.")
    return job

"""Rechecks rights when a job starts long after it was launched: the rights of that moment decide.

The machine acts in the name of a person here: a job was launched for later, its message did not go out while the broker
was away, or was lost with Redis. What runs as a further attempt of the same message has started, and is not asked again.
"""

from typing import Any

from celery import current_app

from jobroom import events
from jobroom.arguments import WrongArguments, schema_of
from jobroom.jobs import gate
from jobroom.jobs.exceptions import JobError
from jobroom.jobs.models import Job


def refused(job: Job, arguments: dict[str, Any]) -> str:
    """Return why the job may not run for its owner by the rights of now; empty if it may, or if it is the machine's."""
    if job.owner is None:
        return ""
    if not job.owner.is_active:
        return "The account of its owner is closed."
    try:
        gate.admit(task=job.task, arguments=arguments, by=job.owner, queue=job.queue, priority=job.priority)
    except WrongArguments as wrong:
        return " ".join(f"{name}: {text}" for name, texts in wrong.errors.items() for text in texts)
    except JobError as error:
        return str(error)
    return ""


def refused_at_start(job_id: str, task: Any, args: Any, kwargs: Any, **_: Any) -> str:
    """Return why a job that a worker is about to start may not run; its secrets are open here, as nowhere else."""
    job = Job.objects.select_related("owner").filter(pk=job_id).first()
    if job is None:
        return "The history does not know who launched it."
    return refused(job, schema_of(task).bind(args, kwargs))


def refuse(job: Job, reason: str) -> None:
    """Write into the history that the job did not start, and why."""
    error = f"It was not started: {reason}"
    events.emit("finished", job.pk, state="failed", execution=None, error=error, error_type="NotAllowed")


def is_refused(job: Job, arguments: dict[str, Any]) -> bool:
    """Return whether the job may not be sent now, and end it then."""
    reason = refused(job, arguments) if job.task in current_app.tasks else ""
    if reason:
        refuse(job, reason)
    return bool(reason)

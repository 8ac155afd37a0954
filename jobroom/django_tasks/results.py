"""Makes the framework's `TaskResult` of a job."""

import contextlib
import datetime
from collections.abc import Sequence
from typing import Any

from celery import states
from django.db import DatabaseError
from django.utils import timezone

from jobroom import redis, safe_text
from jobroom.celery.results import kept_result
from jobroom.django_tasks.framework import (
    AnyResult,
    AnyTask,
    InvalidTask,
    TaskError,
    TaskResult,
    TaskResultStatus,
    normalize_json,
)
from jobroom.events.cancellation import JobCancelled
from jobroom.exceptions import JobFailed, WorkerLost
from jobroom.jobs import current_state
from jobroom.jobs.models import Attempt, Job, State

# Where the facts of a job hold what `using` changed of its task.
VARIANT = "django_task"
# What is neither of these has failed: the framework knows no cancelled and no lost tasks.
_STATUS = {
    State.SCHEDULED: TaskResultStatus.READY,
    State.QUEUED: TaskResultStatus.READY,
    State.RETRYING: TaskResultStatus.READY,
    State.RUNNING: TaskResultStatus.RUNNING,
    State.SUCCEEDED: TaskResultStatus.SUCCESSFUL,
}
# What stands for the error of a job that none was raised in.
_NOT_RAISED = {State.CANCELLED: JobCancelled, State.LOST: WorkerLost}


def variant(task: AnyTask, declared: AnyTask) -> dict[str, Any]:
    """Return what a job keeps of a task that is not as its module declares it; empty where it is."""
    names = ("priority", "queue_name", "backend")
    changed = {name: getattr(task, name) for name in names if getattr(task, name) != getattr(declared, name)}
    if task.run_after is not None:
        changed["run_after"] = task.run_after.isoformat()
    return {VARIANT: changed} if changed else {}


def of(job: Job, declared: AnyTask) -> AnyResult:
    """Return what the framework knows of the job."""
    attempts = _attempts(job)
    status = _STATUS.get(State(job.state), TaskResultStatus.FAILED)
    starts = [attempt.started_at for attempt in attempts if attempt.started_at]
    task = _as_enqueued(job, declared)
    result = _result(
        task,
        job.pk,
        status=status,
        enqueued_at=job.created_at,
        started_at=starts[0] if starts else job.started_at,
        last_attempted_at=starts[-1] if starts else job.started_at,
        finished_at=job.finished_at if job.is_finished else None,
        args=job.args,
        kwargs=job.kwargs,
        errors=_errors(job, attempts) if status != TaskResultStatus.SUCCESSFUL else _raised(attempts),
        worker_ids=[attempt.worker for attempt in attempts if attempt.started_at],
    )
    if status == TaskResultStatus.SUCCESSFUL:
        object.__setattr__(result, "_return_value", _returned(job))
    return result


def running(task: AnyTask, request: Any) -> AnyResult:
    """Return what the framework knows of the job that this worker has started.

    What the message does not say (when it was enqueued, who tried it before) is looked up for a function that takes its
    context; signals alone are not worth the look.
    """
    known = _known(request.id, task) if task.takes_context else None
    now = timezone.now()
    before = known.worker_ids[: request.retries] if known else [""] * request.retries
    if known and known.status == TaskResultStatus.RUNNING:
        before = known.worker_ids[:-1]
    return _result(
        known.task if known else task,
        request.id,
        status=TaskResultStatus.RUNNING,
        enqueued_at=known.enqueued_at if known else None,
        started_at=known.started_at if known and known.started_at else now,
        last_attempted_at=now,
        finished_at=None,
        args=_plain(list(request.args or [])),
        kwargs=_plain(dict(request.kwargs or {})),
        errors=list(known.errors) if known else [],
        worker_ids=[*before, str(request.hostname)],
    )


def importable(name: str) -> str:
    """Return the full name of an error's class as an import path: history calls built-in ones by their name alone."""
    return name if "." in name else f"builtins.{name}"


def _result(task: AnyTask, job_id: str, **fields: Any) -> AnyResult:
    return TaskResult(task=task, id=job_id, backend=task.backend, **fields)


def _known(job_id: str, task: AnyTask) -> AnyResult | None:
    """Return what history says of the job; None where it cannot be read now."""
    try:
        job = current_state.job(job_id)
    except DatabaseError:
        return None
    return of(job, task) if job is not None else None


def _plain(value: Any) -> Any:
    """Return arguments as the framework keeps them; what is no JSON, as Celery allows in eager mode, as a text about it."""
    try:
        return normalize_json(value)
    except (TypeError, ValueError):
        return (
            [safe_text.repr_of(value)]
            if isinstance(value, list)
            else {name: safe_text.repr_of(v) for name, v in value.items()}
        )


def _as_enqueued(job: Job, declared: AnyTask) -> AnyTask:
    """Return the task as it was enqueued; as its module declares it where the settings allow that no more."""
    changed = dict(job.facts.get(VARIANT) or {})
    if not changed:
        return declared
    if "run_after" in changed:
        changed["run_after"] = datetime.datetime.fromisoformat(changed["run_after"])
    try:
        return declared.using(**changed)
    except InvalidTask:
        return declared


def _attempts(job: Job) -> list[Attempt]:
    """Return the attempts in order, also those that the database does not hold yet."""
    found = list(job.attempt_set.all()) if job.known_attempts is None else list(job.known_attempts)
    return sorted(found, key=lambda attempt: attempt.number)


def _raised(attempts: Sequence[Attempt]) -> list[TaskError]:
    return [
        _error(importable((attempt.error_bases or [attempt.error_type])[0]), attempt.traceback or attempt.error)
        for attempt in attempts
        if attempt.error_type
    ]


def _errors(job: Job, attempts: Sequence[Attempt]) -> list[TaskError]:
    """Return what its attempts raised; for a job that failed without, why it did."""
    found = _raised(attempts)
    last = attempts[-1] if attempts else None
    if not job.is_finished or (last is not None and last.error_type and last.state == job.state):
        return found
    kind = _NOT_RAISED.get(State(job.state), JobFailed)
    return [*found, _error(safe_text.full_name(kind), job.traceback or job.error)]


def _error(path: str, text: str) -> TaskError:
    return TaskError(exception_class_path=path, traceback=text if text.endswith("\n") else f"{text}\n")


def _returned(job: Job) -> Any:
    """Return what the function returned: whole while Celery keeps the result, later what history holds of it."""
    with contextlib.suppress(redis.Error, OSError):
        kept = kept_result(job.pk)
        if kept is not None and kept.state == states.SUCCESS:
            return kept.result
    return job.result

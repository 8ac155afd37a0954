"""Turns Celery's signals into events: every tracked task is recorded, however it was started."""

import contextvars
import dataclasses
import functools
import os
import time
import uuid
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from celery import Task, current_app, signals, states
from celery._state import get_current_task
from celery.exceptions import SoftTimeLimitExceeded, TimeLimitExceeded
from kombu.utils.json import dumps

from common import cancelling, events, heartbeat, redis
from common.conf import settings
from common.locks.waiting import is_requeued
from common.redaction import hide_arguments, hide_in_text, secrets_of

# Who starts jobs in this context: page, api, command, schedule; None means code, or the job that is running.
source: contextvars.ContextVar[str | None] = contextvars.ContextVar("source", default=None)


@dataclasses.dataclass(slots=True)
class Execution:
    """One run of a job in this process; kept on the task's request while it runs."""

    id: str
    began: float
    outcome: str | None = None  # set when the run ends otherwise than Celery's state says: skipped
    reason: str = ""  # why the outcome is what it is
    holder: str = ""  # the job that held the lock when this one was skipped
    requeued: bool = False  # the job went back to its queue and goes on as another execution
    progress: Any = None  # the reporter, see common.progress
    cancelled: str | None = None  # the request to cancel it (JSON), once it was noticed
    silent: bool = False  # it did not start, so its end is not told either
    answer: dict[str, Any] | None = None  # whose answer it got in place of running: answer_of, likeness
    files: list[dict[str, str]] | None = None  # what it attached: id, name
    told: bool = False  # its end was written together with its result
    repeated: bool = False  # the job has ended already, or runs elsewhere: this delivery is one too many
    returned: Any = None  # what the task returned
    stored: tuple[str, str] | None = None  # key and text of Celery's result, which the writer stores with the end
    write: events.Write | None = None  # what writes the events of a job that is part of something larger

    @property
    def is_part(self) -> bool:
        """Whether the job is part of something larger, which its end advances."""
        return self.write is not None

    def tell(self, event_type: str, job: str, **data: Any) -> str | None:
        """Write an event of this run; return the answer to it, see `events.Write`."""
        if self.write is not None:
            return self.write(event_type, job, data)[1]
        return events.write(event_type, job, data)[1]


def connect() -> None:
    """Connect the receivers; twice is the same as once."""
    signals.before_task_publish.connect(_queued, dispatch_uid="common.tracking")
    signals.task_prerun.connect(_started, dispatch_uid="common.tracking")
    signals.task_postrun.connect(_ended, dispatch_uid="common.tracking")
    signals.task_failure.connect(_failed, dispatch_uid="common.tracking")
    signals.task_retry.connect(_retrying, dispatch_uid="common.tracking")
    signals.task_revoked.connect(_revoked, dispatch_uid="common.tracking")


def is_tracked(task: Any) -> bool:
    """Return whether jobs of this task are recorded; Celery's own chores are not."""
    return bool(getattr(task, "tracked", False)) and not str(task.name).startswith("celery.")


def execution_of(request: Any) -> Execution | None:
    """Return what is known of the run that `request` belongs to, None outside a tracked job."""
    return getattr(request, "execution", None)


def _arguments(task: Any, args: Any, kwargs: Any) -> dict[str, Any]:
    plain_args, plain_kwargs = hide_arguments(getattr(task, "run", None), args, kwargs)
    return {"args": plain_args, "kwargs": plain_kwargs}


def _queued(
    sender: str, body: Any, headers: dict[str, Any], routing_key: str = "", properties: Any = None, **_: Any
) -> None:
    task = current_app.tasks.get(sender)
    # A task that only workers know (sent by name) is tracked: its worker decides in the end.
    if task is not None and not is_tracked(task):
        return
    if task is None and sender.startswith("celery."):
        return
    headers["tracked"] = True
    if is_requeued(headers):
        return  # told by `waiting`: it is still the same attempt
    running: Any = get_current_task()
    schedule = headers.get("periodic_task_name")
    events.emit(
        "queued",
        headers["id"],
        task=sender,
        queue=routing_key,
        eta=headers.get("eta"),
        retries=headers.get("retries") or 0,
        priority=(properties or {}).get("priority"),
        source=source.get() or ("schedule" if schedule else "code" if running is None else "task"),
        schedule=schedule,
        parent=headers.get("parent_id"),
        root=headers.get("root_id"),
        **({"owner": headers["owner"]} if schedule and headers.get("owner") else {}),
        **_arguments(task, body[0], body[1]),
    )


def _started(sender: Task[Any, Any], task_id: str, args: Any, kwargs: Any, **_: Any) -> None:
    request: Any = sender.request
    if request.is_eager or not (is_tracked(sender) or events.is_part(request)):
        return
    request.execution = Execution(
        id=uuid.uuid4().hex[:16], began=time.monotonic(), write=events.writer_for(request, sender)
    )
    unseen = {} if getattr(request, "tracked", False) else _arguments(sender, args, kwargs)
    delivery: Mapping[str, Any] = request.delivery_info or {}
    started = {
        "task": sender.name,
        "retries": request.retries or 0,
        "execution": request.execution.id,
        "worker": request.hostname,
        "instance": heartbeat.instance(),
        "pid": os.getpid(),
        "queue": delivery.get("routing_key") or "",
        "may_rerun": bool(sender.acks_late),
        **unseen,
    }
    answer = request.execution.tell("started", task_id, **started)
    if answer == events.REPEATED:
        request.execution.repeated = True
        return
    request.execution.cancelled = answer
    request.execution.silent = answer is not None


def _ended(sender: Task[Any, Any], task_id: str, state: str | None = None, retval: Any = None, **_: Any) -> None:
    execution = execution_of(sender.request)
    if execution is None or execution.repeated or execution.told:
        return
    if execution.silent:
        # Told when it was cancelled, if it waited then; if its worker had vanished, nobody has told it yet.
        _finish(task_id, None, "cancelled", error=execution.reason, noticed=True)
        return
    if execution.progress is not None:
        execution.progress.flush()
    if state == states.SUCCESS:
        _succeed(task_id, execution, retval)
    elif state == states.IGNORED and not execution.requeued:
        _finish(task_id, execution, execution.outcome or "succeeded", error=execution.reason)


def _succeed(task_id: str, execution: Execution, result: Any, kept: events.Result | None = None) -> bool:
    execution.returned = result
    told = execution.answer or {}
    state = execution.outcome or "succeeded"
    return _finish(task_id, execution, state, kept, result=_shown(result), holder=execution.holder, **told)


def succeeded(request: Any, result: Any, kept: events.Result) -> bool:
    """Tell that the job has succeeded, and keep its result, in one step; return False where that is not possible.

    It is not where the task has hooks that run between the two: those still belong to the run. The end of a job that is
    part of something larger takes the result with it, see `Execution.stored`.
    """
    execution = execution_of(request)
    task: Any = get_current_task()
    if execution is None or execution.is_part or execution.silent or execution.repeated:
        return False
    if task is None or _has_hooks(task.__class__):
        return False
    if execution.progress is not None:
        execution.progress.flush()
    execution.told = _succeed(request.id, execution, result, kept)
    return execution.told


@functools.lru_cache(maxsize=4096)
def _has_hooks(task: type[Any]) -> bool:
    return any(getattr(task, name) is not getattr(Task, name) for name in ("on_success", "after_return"))


def _failed(
    sender: Task[Any, Any],
    task_id: str,
    exception: BaseException,
    args: Any = (),
    kwargs: Any = None,
    einfo: Any = None,
    **_: Any,
) -> None:
    """Sent in the pool process for what the task raised, in the worker's main process when that process is gone."""
    if (is_tracked(sender) or events.is_part(sender.request)) and not sender.request.is_eager:
        trace = str(einfo) if einfo is not None else ""
        secrets = secrets_of(sender.run, args, kwargs or {})
        execution = execution_of(sender.request)
        told = (execution.answer if execution else None) or {}
        _finish(task_id, execution, "failed", **_error(exception, trace, secrets), **told)
    from common import failures

    failures.on_signal(sender, task_id, exception, einfo)


def _retrying(sender: Task[Any, Any], request: Any, reason: Any, einfo: Any = None, **_: Any) -> None:
    if request.is_eager or not (is_tracked(sender) or events.is_part(request)):
        return
    execution = execution_of(request)
    cause = getattr(reason, "exc", None) or reason
    retrying: dict[str, Any] = {
        "execution": execution.id if execution else None,
        "retries": request.retries or 0,
        "eta": reason.humanize() if hasattr(reason, "humanize") else None,
        **_error(
            cause, str(einfo) if einfo is not None else "", secrets_of(sender.run, request.args, request.kwargs or {})
        ),
    }
    _write(execution, "retrying", request.id, retrying)


def _revoked(sender: Task[Any, Any], request: Any, terminated: bool, expired: bool, **_: Any) -> None:
    if not is_tracked(sender):
        return
    text = "expired before it was started" if expired else "terminated" if terminated else "revoked before it started"
    if not expired and (by := _who_asked(request.id)):
        text = f"Cancelled by {by}{'; its process was ended.' if terminated else ' before it started.'}"
    _finish(request.id, None, "cancelled", error=text)


def _who_asked(job: str) -> str:
    try:
        asked = cancelling.requested(job)
    except (redis.Error, OSError):
        return ""
    return str(asked["by"]) if asked else ""


def _error(exception: BaseException | Any, trace: str, secrets: AbstractSet[str] = frozenset()) -> dict[str, Any]:
    name = type(exception).__name__
    text = str(exception)
    if isinstance(exception, SoftTimeLimitExceeded):
        text = "The job ran into its soft time limit."
    elif isinstance(exception, TimeLimitExceeded):
        text = f"The job ran into its hard time limit of {exception.args[0]} s and was killed."
    return {"error": hide_in_text(text, secrets), "error_type": name, "traceback": hide_in_text(trace, secrets)}


def _finish(
    task_id: str, execution: Execution | None, state: str, kept: events.Result | None = None, **data: Any
) -> bool:
    """Tell the end of a run. With `kept` the job's result is kept in the same step; False: neither was done."""
    finished: dict[str, Any] = {
        "state": state,
        "execution": execution.id if execution else None,
        "runtime": time.monotonic() - execution.began if execution else None,
        **data,
    }
    if kept is not None:
        return events.write_end(task_id, finished, kept)
    return _write(execution, "finished", task_id, finished)


def _write(execution: Execution | None, event_type: str, job: str, data: dict[str, Any]) -> bool:
    write = events.write if execution is None or execution.write is None else execution.write
    return write(event_type, job, data)[0]


def _shown(result: Any) -> str | None:
    if result is None:
        return None
    try:
        text = dumps(result)
    except (TypeError, ValueError):
        text = dumps(repr(result))
    limit = settings.RESULT_LIMIT
    return text if len(text) <= limit else dumps(f"{text[:limit]}… ({len(text)} characters)")

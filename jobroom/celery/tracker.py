"""Turns Celery's signals into events: every tracked task is recorded, however it was started."""

import contextvars
import dataclasses
import functools
import logging
import os
import time
import uuid
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from celery import Task, current_app, signals, states
from celery.exceptions import WorkerLostError
from kombu.utils.encoding import safe_repr

from jobroom import events, redis, safe_text, truncation
from jobroom.arguments.redaction import hide_arguments, hide_in_text, running, secrets_of
from jobroom.celery import retries, traces
from jobroom.celery.recorded_results import shown
from jobroom.celery.task_secrets import forget_secrets, know_secrets, open_secrets
from jobroom.celery.tracked import is_left_out, is_tracked
from jobroom.conf import settings
from jobroom.current_task import get_current_task
from jobroom.events import attachments, cancellation, heartbeat
from jobroom.exceptions import RedisUnavailable, WorkerLost
from jobroom.locks.requeue import is_requeued
from jobroom.signals import run_failed

logger = logging.getLogger(__name__)

# Header of a message that was sent for an attempt which another message may bring too: which of them it is.
DISPATCH = "dispatch"
# Header of a message for later in the name of a person, whose rights are asked for when it starts.
ASK = "ask_rights"

# Who starts jobs in this context: page, api, command, schedule; None means code, or the job that is running.
source: contextvars.ContextVar[str | None] = contextvars.ContextVar("source", default=None)
# The job that is being launched, and its arguments without secrets, which its launch has made already.
launched: contextvars.ContextVar[tuple[str, Any, Any] | None] = contextvars.ContextVar("launched", default=None)


@dataclasses.dataclass(slots=True)
class Execution:
    """One run of a job in this process; kept on the task's request while it runs."""

    id: str
    began: float
    outcome: str | None = None  # set when the run ends otherwise than Celery's state says: skipped
    reason: str = ""  # why the outcome is what it is
    holder: str = ""  # the job that held the lock when this one was skipped
    requeued: bool = False  # the job went back to its queue and goes on as another execution
    progress: Any = None  # the reporter, see jobroom.tasks.progress
    cancelled: str | None = None  # the request to cancel it (JSON), once it was noticed
    silent: bool = False  # it did not start, so its end is not reported either
    answer: dict[str, Any] | None = None  # whose answer it got in place of running: answer_of, likeness
    files: list[dict[str, str]] | None = None  # what it attached: id, name
    reported: bool = False  # its end was written together with its result
    repeated: bool = False  # the job has ended already, or runs elsewhere: this delivery is one too many
    returned: Any = None  # what the task returned
    stored: tuple[str, str] | None = None  # key and text of Celery's result, which the writer stores with the end
    said: tuple[str, Any] | None = None  # the state and result that the task itself stored for its job
    write: events.Write | None = None  # what writes the events of a job that is part of something larger
    unasked: dict[str, Any] | None = None  # what its start reports, while no one has answered whether the job may run
    error: BaseException | None = None  # what the task raised: Celery hands its hooks a substitute where pickle fails

    @property
    def is_part(self) -> bool:
        """Whether the job is part of something larger, which its end advances."""
        return self.write is not None

    def ask_start(self, job: str) -> None:
        """Report the start, and note what the answer to it means; raise redis errors or RedisUnavailable while there is none."""
        started = self.unasked or {}
        if self.write is None:
            self._take(job, events.ask("started", job, started))
            return
        written, answer = self.write("started", job, started)
        if not written:
            raise RedisUnavailable(f"The start of job {job} cannot be reported.")
        self._take(job, answer)

    def _take(self, job: str, answer: str | None) -> None:
        self.unasked = None
        self.repeated = answer == events.REPEATED
        if self.repeated:
            logger.warning("Job %s has ended already, or runs elsewhere: this message of it is dropped", job)
            return
        self.cancelled = answer
        self.silent = answer is not None

    def report(self, event_type: str, job: str, **data: Any) -> str | None:
        """Write an event of this run; return the answer to it, see `events.Write`."""
        if self.write is not None:
            return self.write(event_type, job, data)[1]
        return events.write(event_type, job, data)[1]


# How a job has ended whose task stored such a state by itself.
_SAID = {states.FAILURE: "failed", states.REVOKED: "cancelled"}


def connect() -> None:
    """Connect the receivers; twice is the same as once."""
    signals.before_task_publish.connect(_queued, dispatch_uid="jobroom.celery.tracker")
    # What is reported of the start hides what is sealed, and what is reported of the end what was opened: therefore the order.
    signals.task_prerun.connect(know_secrets, dispatch_uid="jobroom.celery.tracker.secrets")
    signals.task_prerun.connect(_started, dispatch_uid="jobroom.celery.tracker")
    signals.task_prerun.connect(open_secrets, dispatch_uid="jobroom.celery.tracker.open")
    signals.task_postrun.connect(_ended, dispatch_uid="jobroom.celery.tracker")
    signals.task_postrun.connect(forget_secrets, dispatch_uid="jobroom.celery.tracker.secrets")
    signals.task_failure.connect(_failed, dispatch_uid="jobroom.celery.tracker")
    signals.task_retry.connect(_retrying, dispatch_uid="jobroom.celery.tracker")
    signals.task_revoked.connect(_revoked, dispatch_uid="jobroom.celery.tracker")


def execution_of(request: Any) -> Execution | None:
    """Return what is known of the run that `request` belongs to, None outside a tracked job."""
    return getattr(request, "execution", None)


def _arguments(task: Any, args: Any, kwargs: Any) -> dict[str, Any]:
    plain_args, plain_kwargs = hide_arguments(getattr(task, "run", None), args, kwargs)
    return {"args": plain_args, "kwargs": plain_kwargs}


def _is_bound(headers: Mapping[str, Any], body: Any) -> bool:
    """Return whether more hangs on the message than the history knows: links, a chain, a chord, a group."""
    embedded = body[2] if isinstance(body, tuple | list) and len(body) > 2 and body[2] else {}
    return bool(headers.get("group")) or any(embedded.get(name) for name in ("callbacks", "errbacks", "chain", "chord"))


def _is_recorded(task: Any, request: Any) -> bool:
    """Return whether this run is recorded: of an untracked task, where it goes on under the id of a job that is."""
    return is_tracked(task) or events.is_part(request) or _stands_in(getattr(request, DISPATCH, None))


def _stands_in(dispatch: Any) -> bool:
    return str(dispatch or "").startswith(retries.REPLACEMENT)


def _queued(
    sender: str, body: Any, headers: dict[str, Any], routing_key: str = "", properties: Any = None, **_: Any
) -> None:
    task = current_app.tasks.get(sender)
    # A task that only workers know (sent by name) is tracked: its worker decides in the end.
    stands_in = _stands_in(headers.get(DISPATCH))
    if task is not None and not is_tracked(task) and not stands_in:
        return
    if task is None and is_left_out(sender) and not stands_in:
        return
    headers["tracked"] = True
    if is_requeued(headers):
        return  # reported by `waiting`: it is still the same attempt
    job, *known = launched.get() or ("",)
    arguments = (
        dict(zip(("args", "kwargs"), known, strict=True)) if job == headers["id"] else _arguments(task, *body[:2])
    )
    # What Celery shows of a message, such as in `inspect active`.
    headers["argsrepr"], headers["kwargsrepr"] = safe_repr(arguments["args"]), safe_repr(arguments["kwargs"])
    current: Any = get_current_task()
    schedule = headers.get("periodic_task_name")
    if schedule and not headers.get(DISPATCH):
        headers[DISPATCH] = f"beat-{uuid.uuid4().hex[:8]}"  # beat may send a run twice, under the same id
    events.emit(
        "queued",
        headers["id"],
        task=sender,
        queue=routing_key,
        eta=headers.get("eta"),
        retries=headers.get("retries") or 0,
        priority=(properties or {}).get("priority"),
        source=source.get() or ("schedule" if schedule else "code" if current is None else "task"),
        schedule=schedule,
        parent=headers.get("parent_id"),
        root=headers.get("root_id"),
        **({"owner": headers["owner"]} if schedule and headers.get("owner") else {}),
        **({"dispatch": headers[DISPATCH]} if headers.get(DISPATCH) else {}),
        **({"bound": True} if _is_bound(headers, body) else {}),
        **traces.queued(headers, routing_key),
        **arguments,
    )


def _started(sender: Task[Any, Any], task_id: str, args: Any, kwargs: Any, **_: Any) -> None:
    request: Any = sender.request
    if request.is_eager or not _is_recorded(sender, request):
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
        **({"dispatch": request.dispatch} if getattr(request, DISPATCH, None) else {}),
        **traces.started(sender, request),
        **unseen,
    }
    _ask_start(sender, request.execution, task_id, started)


def _ask_start(task: Any, execution: Execution, job: str, started: dict[str, Any]) -> None:
    """Report the start, and hear whether the job may run; a task of ours asks again where Redis does not answer."""
    if not getattr(task, "asks_before_start", False):
        execution._take(job, execution.report("started", job, **started))
        return
    execution.unasked = started
    try:
        execution.ask_start(job)
    except (redis.Error, RedisUnavailable, OSError) as error:
        logger.warning("Job %s does not start yet, because Redis is unavailable: %s", job, error)
    except (TypeError, ValueError, RecursionError):
        execution.unasked = None
        logger.exception("The start of job %s cannot be written as JSON", job)


def _ended(sender: Task[Any, Any], task_id: str, state: str | None = None, retval: Any = None, **_: Any) -> None:
    execution = execution_of(sender.request)
    if execution is None or execution.repeated or execution.reported:
        return
    if execution.silent:
        # Reported when it was cancelled, if it waited then; if its worker had vanished, no one has reported it yet.
        _finish(task_id, None, "cancelled", error=execution.reason, noticed=True)
        return
    if execution.progress is not None:
        execution.progress.flush()
    if state == states.SUCCESS:
        _succeed(task_id, execution, retval)
    elif state == states.IGNORED and not execution.requeued:
        _ignored(task_id, execution)


def _ignored(task_id: str, execution: Execution) -> None:
    """Report the end of a run that raised Ignore: as Celery's result says, where the task has stored one itself."""
    said, value = execution.said or (None, None)
    if execution.outcome is not None or said is None:
        _finish(task_id, execution, execution.outcome or "succeeded", error=execution.reason)
    elif said == states.SUCCESS:
        _succeed(task_id, execution, value)
    elif said in _SAID:
        about = value if isinstance(value, dict) else {}
        text, kind = about.get("exc_message", value), about.get("exc_type", "")
        text = ", ".join(map(str, text)) if isinstance(text, list | tuple) else str(text)
        _finish(task_id, execution, _SAID[said], error=text, error_type=str(kind), traceback="")
    else:
        _finish(task_id, execution, "succeeded", error=execution.reason)


def _succeed(task_id: str, execution: Execution, result: Any, kept: events.Result | None = None) -> bool:
    execution.returned = result
    task: Any = get_current_task()
    answer = execution.answer or {}
    state = execution.outcome or "succeeded"
    return _finish(task_id, execution, state, kept, result=shown(result, task), holder=execution.holder, **answer)


def succeeded(request: Any, result: Any, kept: events.Result) -> bool:
    """Report that the job has succeeded, and keep its result, in one step; return False where that is not possible.

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
    execution.reported = _succeed(request.id, execution, result, kept)
    return execution.reported


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
    recorded = _is_recorded(sender, sender.request) and not sender.request.is_eager
    if recorded or traces.is_on():
        execution = execution_of(sender.request)
        answer = (execution.answer if execution else None) or {}
        state = "lost" if isinstance(exception, WorkerLostError | WorkerLost) else "failed"
        error = _error(sender, sender.request, exception, einfo, args, kwargs)
        traces.failed(sender, exception, error)
        if recorded:
            _finish(task_id, execution, state, **error, **answer)
    run_failed.send(sender=type(sender), task=sender, task_id=task_id, exception=exception, einfo=einfo)


def _retrying(sender: Task[Any, Any], request: Any, reason: Any, einfo: Any = None, **_: Any) -> None:
    recorded = _is_recorded(sender, request) and not request.is_eager
    if not (recorded or traces.is_on()):
        return
    execution = execution_of(request)
    cause = getattr(reason, "exc", None) or reason
    retrying: dict[str, Any] = {
        "execution": execution.id if execution else None,
        "retries": request.retries or 0,
        "eta": reason.humanize() if hasattr(reason, "humanize") else None,
        **_error(sender, request, cause, einfo, request.args, request.kwargs),
    }
    traces.retried(retrying)
    if recorded:
        _write(execution, "retrying", request.id, retrying)


def _revoked(sender: Task[Any, Any], request: Any, terminated: bool, expired: bool, **_: Any) -> None:
    if not _is_recorded(sender, request):
        return
    text = "expired before it was started" if expired else "terminated" if terminated else "revoked before it started"
    if not expired and (by := _who_asked(request.id)):
        text = f"Cancelled by {by}{'; its process was ended.' if terminated else ' before it started.'}"
    _finish(request.id, None, "cancelled", error=text)


def _who_asked(job: str) -> str:
    try:
        asked = cancellation.requested(job)
    except (redis.Error, OSError):
        return ""
    return str(asked["by"]) if asked else ""


def raised(request: Any, exception: BaseException) -> BaseException:
    """Return what the task itself raised, where Celery hands on a substitute that it can pickle."""
    execution = execution_of(request)
    own = execution.error if execution is not None else None
    return exception if own is None else own


def _error(sender: Any, request: Any, exception: Any, einfo: Any, args: Any, kwargs: Any) -> dict[str, Any]:
    """Return what is recorded of an error: text, type, bases and traceback, without secrets and bounded."""
    error = raised(request, exception)
    trace = safe_text.text_of(einfo) if einfo is not None else ""
    if trace and type(error) is not type(exception):
        trace = safe_text.traceback_of(error)
    text, secrets = safe_text.error_text(error), secrets_of(sender.run, args, kwargs or {}) | running()
    _keep_whole(sender, request, text, trace, secrets)
    clean = functools.partial(hide_in_text, secrets=secrets)
    return {
        "error": truncation.shorten_clean(text, settings.ERROR_LIMIT, clean),
        "error_type": safe_text.error_type(error),
        "error_bases": safe_text.error_bases(error),
        "traceback": truncation.shorten_clean(trace, settings.TRACEBACK_LIMIT, clean),
    }


def _keep_whole(task: Any, request: Any, text: str, trace: str, secrets: AbstractSet[str]) -> None:
    """Keep an error that will be shortened as a file of the job, where its task wants that."""
    if len(text) <= settings.ERROR_LIMIT and len(trace) <= settings.TRACEBACK_LIMIT:
        return
    if attachments.wants_whole(task) and (execution := execution_of(request)) is not None:
        attachments.attach_text(request.id, execution, "error.txt", hide_in_text(trace or text, secrets))


def _finish(
    task_id: str, execution: Execution | None, state: str, kept: events.Result | None = None, **data: Any
) -> bool:
    """Report the end of a run. With `kept` the job's result is kept in the same step; False: neither was done."""
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

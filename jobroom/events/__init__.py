"""Events of jobs on one Redis stream: workers write them, `manage.py record` reads them.

An event is a dict with `type`, `job` (the Celery task id), `at` (seconds since 1970) and what the type needs:

| type       | further keys                                                                                        |
|------------|-----------------------------------------------------------------------------------------------------|
| `queued`   | task, args, kwargs (secrets hidden), queue, eta, retries, priority, source, schedule, parent, root   |
|            | (+ owner, the id of the person whose schedule it is; dispatch; bound: more hangs on its message; traceparent: its trace) |
| `started`  | task, retries, execution, worker, instance, pid, queue, may_rerun, dispatch, traceparent (+ args, kwargs if never `queued`) |
| `progress` | execution, current, total, message, stage, fraction (0 to 1, None when unknown), memory (bytes)      |
| `log`      | execution, level, message, obj                                                                       |
| `file`     | execution, file (its id), name, size, sha256, content_type: the job made a file                      |
| `waiting`  | execution, lock, holder: the job went back to its queue until the lock is free                       |
|            | or answer_of (+ execution, if it had started): it waits for that job, which computes the same        |
| `replaced` | execution: it went back because it gave its place to other tasks, which are sent; the last goes on under its id |
| `retrying` | execution, retries, eta, error, error_type, error_bases (full names), traceback                      |
| `moved`    | queue, by: an operator moved its message to that queue                                               |
| `finished` | execution, state (succeeded, failed, cancelled, skipped, lost), runtime, result (JSON text), error, error_type, error_bases, traceback, holder, noticed (a worker met a cancelled job), answer_of (the job that computed it), likeness (of a near-duplicate, 0 to 1), batch (that job ran its call in a batch) |
| `mail`     | mail (its id), task, status (sent, failed, no one), subject, recipients, fingerprint, body, error |
| `lock`     | action (broken, lost), lock, holder, by, reason                                                      |
| `refused`  | task, queue, worker, kind (unknown, invalid, undecodable, unreadable, repeated, rejected), reason, head (of the raw message), size (bytes): no worker can run it |
| `workflow` | workflow (its id), and what happened to it: state, result; or node_states (node → state); or node, items; or node, added (the node beside it), index, children |

The events of a node of a workflow also name `workflow` and `node`.

`execution` names one run of the job by one worker; a message delivered twice makes two.
"""

import collections
import contextlib
import contextvars
import dataclasses
import functools
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from django.core.signals import setting_changed

from jobroom import redis, safe_text
from jobroom.arguments.redaction import hide, hide_in_text, is_suspect, running
from jobroom.conf import settings
from jobroom.lua_scripts import Value, source

logger = logging.getLogger(__name__)

Event = dict[str, Any]
# Writes one event of a job: type, job, data. Returns whether it is there, and the answer to the event `started`: the
# request to cancel the job as JSON, or REPEATED.
Write = Callable[[str, str, dict[str, Any]], tuple[bool, str | None]]
# The job must not run: it has ended already, or it runs elsewhere and may not run twice.
REPEATED = "repeated"

# Type of the error of an attempt whose task rejected its message, which goes back into its queue.
MESSAGE_REJECTED = "MessageRejected"
# The same of a job whose message could not be read: what it was called with is not known.
MESSAGE_UNREADABLE = "MessageUnreadable"
_REPLAYED = frozenset({"progress", "log"})
_MARKS = {
    "finished": "end",
    "retrying": "end",
    "waiting": "free",
    "progress": "look",
    "log": "look",
    "file": "look",
}
# Made once: json.dumps makes one for each call that is not plain.
_to_json = json.JSONEncoder(default=safe_text.text_of, separators=(",", ":")).encode

# What people read: written by tasks and by errors, which know the job's secrets. Arguments and results are plain already.
_TEXTS = ("message", "stage", "obj", "name", "error", "traceback")


def to_json(event: Event) -> str:
    """Return an event as JSON, without the secrets of the jobs that run here; raise TypeError or ValueError."""
    secrets = running()
    for key in _TEXTS:
        if value := event.get(key):
            event[key] = hide_in_text(value, secrets) if isinstance(value, str) else _plain(value, secrets)
    return _to_json(event)


def _plain(value: Any, secrets: frozenset[str]) -> Any:
    """Return what is no text without secrets; what cannot be written raises ValueError here as it would later."""
    return hide(value, secrets=secrets) if is_suspect(_to_json(value), secrets) else value


# Seconds for which a run is remembered that no one ends.
_RUN_SECONDS = 7 * 24 * 3600

# Events that could not be sent go out with the next one; the oldest are given up when Redis stays away.
# Type, job, text, and what the marks need: for a start its attempt, else the mark.
Message = tuple[str, str | None, str, str]


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """What Celery's Redis backend writes for one job: its key, the text, and for how many seconds (0: for ever)."""

    key: str
    text: str
    seconds: int


_unsent: collections.deque[Message] = collections.deque(maxlen=10_000)
_lock = threading.Lock()
# Where the events of this context are kept, to be written together by `write_all`; None: each is written by itself.
_kept: contextvars.ContextVar[list[Message] | None] = contextvars.ContextVar("kept", default=None)


def _begin_again() -> None:
    """Give a forked process a lock of its own, which no one holds, and leave its parent's events to the parent."""
    global _lock  # noqa: PLW0603 — a lock that another thread held at the fork would stay locked for ever
    _lock = threading.Lock()
    _unsent.clear()


os.register_at_fork(after_in_child=_begin_again)


def stream() -> str:
    """Return the key of the stream."""
    return redis.key("events")


def attempt_marked(job: str) -> int | None:
    """Return which attempt of the job runs or has ended by the marks of its start: its retries; None without a mark."""
    texts: Any = redis.client().mget(running_key(job), ran_key(job))
    numbers = [int(text.partition(" ")[0]) for text in texts if text and " " in text]
    return max(numbers, default=None)


def is_running(job: str) -> bool:
    """Return whether the job runs by the mark of its start."""
    return bool(redis.client().exists(running_key(job)))


def recent(job: str) -> str:
    """Return the key of the short stream of one job's latest progress and log events."""
    return redis.key("recent", job)


def channel(job: str | None) -> str:
    """Return the channel on which the events of `job` are published."""
    return redis.key("live", f"job:{job}")


def sequence(position: str) -> int:
    """Return the sequence number of the stream position `<milliseconds>-<counter>`."""
    milliseconds, _, counter = position.partition("-")
    return int(milliseconds) * 4096 + int(counter or 0)


def position(number: int) -> str:
    """Return the stream position of a sequence number."""
    return f"{number >> 12}-{number & 4095}"


def replay(job: str, after: int) -> list[Event]:
    """Return the job's progress and log events after sequence number `after`, oldest first, each with its `seq`."""
    rows: Any = redis.client().xrange(recent(job), min=f"({position(after)}")
    return [{"seq": sequence(at), **json.loads(fields["e"])} for at, fields in rows]


def cancel_key(job: str) -> str:
    """Return the key under which a request to cancel the job lies."""
    return redis.key("cancel", job)


def running_key(job: str) -> str:
    """Return the key that is there while the job runs."""
    return redis.key("running", job)


def ran_key(job: str) -> str:
    """Return the key that is there for a while after an attempt of the job has ended."""
    return redis.key("ran", job)


def note_replaced(job: str, dispatch: Any) -> None:
    """Let a message of the job with this dispatch start nothing any more: the run that it brought gave the job's place away.

    Errors of Redis are logged: then a message that is delivered again gives it away once more.
    """
    key = _replaced_key(job)
    try:
        with redis.client().pipeline() as pipe:
            pipe.append(key, f" {_dispatch(dispatch)} ")
            pipe.expire(key, settings.ATTEMPT_KEPT)
            pipe.execute()
    except (redis.Error, OSError) as error:
        logger.warning("That job %s was replaced could not be noted: %s", job, error)


def forget_replaced(jobs: Sequence[str]) -> None:
    """Let messages of these jobs start them whatever was replaced before: they begin another life. Raises redis errors."""
    if jobs:
        redis.client().delete(*map(_replaced_key, jobs))


def _replaced_key(job: str) -> str:
    return redis.key("replaced", job)


def _dispatch(said: Any) -> str:
    """Return a dispatch as the marks have it: one word."""
    return str(said or "-").replace(" ", "_")


# Name of a header → what makes the writer for the runs of jobs whose messages carry it, from request and task.
_writers: dict[str, Callable[[Any, Any], Write]] = {}


def register_writer(header: str, make: Callable[[Any, Any], Write]) -> None:
    """Let the events of jobs whose messages carry `header` be written by what `make(request, task)` returns.

    For jobs that are part of something larger, whose end sets off more, in the same step as it is reported.
    """
    _writers[header] = make


def is_part(request: Any) -> bool:
    """Return whether the job belongs to something larger; such a job is recorded whatever its task says."""
    return any(getattr(request, header, None) for header in _writers)


def writer_for(request: Any, task: Any) -> Write | None:
    """Return what writes the events of one run, None if they are written here."""
    for header, make in _writers.items():
        if getattr(request, header, None):
            return make(request, task)
    return None


def emit(event_type: str, job: str | None, **data: Any) -> bool:
    """Write one event to the stream; return whether it is there. Bookkeeping never kills work: errors are logged."""
    return write(event_type, job, data)[0]


def write(event_type: str, job: str | None, data: dict[str, Any]) -> tuple[bool, str | None]:
    """Write one event as `emit` does; return also the request to cancel the job (JSON), if there is one.

    A `started` event of a job that is to be cancelled is not written.
    """
    try:
        message = _message(event_type, job, data)
    except (TypeError, ValueError, RecursionError):
        logger.exception("Event %s of job %s cannot be written as JSON", event_type, job)
        return False, None
    if (into := _kept.get()) is not None:
        into.append(message)
        return True, None
    try:
        return True, _send(message)
    except (redis.Error, OSError) as error:
        _unsent.append(message)
        logger.warning("Event %s of job %s: Redis is unavailable: %s", event_type, job, error)
        return False, None


def ask(event_type: str, job: str, data: dict[str, Any]) -> str | None:
    """Write one event as `write` does and return the answer; raise redis errors or OSError, and keep nothing for later, where
    that is not possible now.
    """
    return _send(_message(event_type, job, data))


def _message(event_type: str, job: str | None, data: dict[str, Any]) -> Message:
    event = {"type": event_type, "job": job, "at": time.time(), **data}
    return event_type, job, to_json(event), _mark(event_type, data)


def emit_all(messages: Sequence[tuple[str, str, dict[str, Any]]]) -> bool:
    """Write events (type, job, data) in one round trip; return whether they are there. Errors are logged as by `emit`."""
    return write_all([_message(kind, job, data) for kind, job, data in messages])


@contextlib.contextmanager
def kept(into: list[Message] | None) -> Iterator[None]:
    """Keep the events that are written in this block in `into`, for `write_all`; with None they are written as always.

    For events that no one waits for an answer to, such as `queued`.
    """
    token = _kept.set(into)
    try:
        yield
    finally:
        _kept.reset(token)


def write_all(texts: Sequence[Message]) -> bool:
    """Write events that were kept in one round trip; return whether they are there. Errors are logged as by `emit`."""
    if not texts:
        return True
    try:
        script, key = _script(settings.REDIS_URL)
        _send_all(redis.line(), script, key, *texts)
    except (redis.Error, OSError) as error:
        _unsent.extend(texts)
        logger.warning("%d events wait for Redis: %s", len(texts), error)
        return False
    return True


def write_end(job: str, data: dict[str, Any], result: Result) -> bool:
    """Write a `finished` event and keep the result of the job in the same step; return False if neither is done."""
    if _unsent:
        return False  # what waits goes first
    text = to_json({"type": "finished", "job": job, "at": time.time(), **data})
    script, key = _script(settings.REDIS_URL)
    try:
        redis.evaluate(
            script, [key, result.key], [*_arguments(("finished", job, text, "end")), result.text, result.seconds]
        )
    except (redis.Error, OSError) as error:
        logger.warning("The result event of job %s could not be written with its result: %s", job, error)
        return False
    return True


def connect() -> None:
    """Connect this process, so that its first event is not the slow one; raises the errors of Redis."""
    script, _ = _script(settings.REDIS_URL)
    redis.line().script_exists(script.sha)


def _send(latest: Message) -> str | None:
    script, key = _script(settings.REDIS_URL)
    if _unsent:
        return _send_all(redis.line(), script, key, latest)
    return redis.evaluate(script, [key], _arguments(latest)) or None


def _send_all(client: redis.Client, script: Any, key: str, *latest: Message) -> str | None:
    with _lock:
        with client.pipeline(transaction=False) as pipe:
            for message in (*_unsent, *latest):
                script([key], _arguments(message), client=pipe)
            asked = pipe.execute()[-1]
        _unsent.clear()
    return asked or None


@functools.lru_cache(maxsize=4)
def _script(url: str) -> tuple[Any, str]:
    """Return the script with the limits that the settings name, and its one key."""
    limits: dict[str, Value] = {
        "kept": settings.EVENTS_KEPT,
        "replay_kept": settings.REPLAY_KEPT,
        "replay_seconds": settings.REPLAY_SECONDS,
        "run_seconds": _RUN_SECONDS,
        "ran_seconds": settings.ATTEMPT_KEPT,
        "repeated": REPEATED,
    }
    return redis.script(source("jobroom.events", "emit", limits)), stream()


def _read_settings_again(**_: Any) -> None:
    _script.cache_clear()


# Sent by tests alone; in a process that runs the settings stay what they are.
setting_changed.connect(_read_settings_again, dispatch_uid="jobroom.events")


def _mark(event_type: str, data: dict[str, Any]) -> str:
    """Return what the script does with the marks of the job, or the attempt that starts."""
    if event_type == "started":
        return f"{int(data.get('retries') or 0)} {_dispatch(data.get('dispatch'))} {int(bool(data.get('may_rerun')))} {data.get('execution')}"
    if event_type == "queued":
        # A message that is sent for an attempt that may be under way already says so by its dispatch.
        return "" if data.get("retries") or data.get("dispatch") else "sent"
    if event_type == "retrying" and data.get("error_type") in {"WorkerLost", MESSAGE_REJECTED}:
        return "free"  # the same message is delivered again
    return _MARKS.get(event_type, "")


def _arguments(message: Message) -> list[str]:
    """Return the arguments of the script."""
    event_type, job, text, mark = message
    if job is None:
        return [text, "None", ""]
    if event_type == "started":
        return [text, job, "start", mark]
    arguments = [text, job, mark]
    return [*arguments, "replay"] if event_type in _REPLAYED else arguments

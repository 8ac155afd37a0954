"""What happens to jobs, as events on one Redis stream. Workers write, `manage.py record` reads.

An event is a dict with `type`, `job` (the Celery task id), `at` (seconds since 1970) and what the type needs:

| type       | further keys                                                                                        |
|------------|-----------------------------------------------------------------------------------------------------|
| `queued`   | task, args, kwargs (secrets hidden), queue, eta, retries, priority, source, schedule, parent, root   |
|            | (+ owner, the id of the person whose schedule it is)                                                 |
| `started`  | task, retries, execution, worker, instance, pid, queue, may_rerun (+ args, kwargs if never `queued`) |
| `progress` | execution, current, total, message, stage, fraction (0 to 1, None when unknown)                      |
| `log`      | execution, level, message, obj                                                                       |
| `file`     | execution, file (its id), name, size, sha256, content_type: the job made a file                      |
| `waiting`  | execution, lock, holder: the job went back to its queue until the lock is free                       |
|            | or answer_of (+ execution, if it had started): it waits for that job, which computes the same        |
| `retrying` | execution, retries, eta, error, error_type, traceback                                                |
| `finished` | execution, state (succeeded, failed, cancelled, skipped, lost), runtime, result (JSON text), error, error_type, traceback, holder, noticed (a worker met a cancelled job), answer_of (the job that computed it), likeness (of a near-duplicate, 0 to 1) |
| `mail`     | mail (its id), task, status (sent, failed, grouped, nobody), subject, recipients, fingerprint, body, error |
| `lock`     | action (broken, lost), lock, holder, by, reason                                                      |
| `workflow` | workflow (its id), and what happened to it: state, result; or letters (node → letter); or node, items |

The events of a node of a workflow also name `workflow` and `node`.

`execution` names one run of the job by one worker; a message delivered twice makes two.
"""

import collections
import dataclasses
import functools
import json
import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any

from django.conf import settings as django_settings
from django.core.signals import setting_changed

from common import redis
from common.conf import settings

logger = logging.getLogger(__name__)

Event = dict[str, Any]
# Writes one event of a job: type, job, data. Returns whether it is there, and the answer to the event `started`: the
# request to cancel the job as JSON, or REPEATED.
Write = Callable[[str, str, dict[str, Any]], tuple[bool, str | None]]
# The job must not run: it has ended already, or it runs elsewhere and may not run twice.
REPEATED = "repeated"

# One round trip: into the stream for the recorder, to the channel for whoever watches this job now, and what a page must
# be able to catch up on (ARGV[4] is given for those types) into the job's own short stream. The sequence number is the
# stream position as one integer that JavaScript holds exactly: milliseconds times 4096 plus the counter within one.
#
# The same round trip brings back whether somebody has asked to cancel the job, and keeps the mark that it runs (ARGV[3]
# says which of both is wanted): a job that is cancelled before its start is not told to have started.
#
# With KEYS[2] it also keeps a result as Celery's Redis backend does (ARGV[4], for ARGV[5] seconds; 0: for ever).
#
# Every argument costs the task a microsecond or two: the limits are part of the text, the keys are made here.
_EMIT = """
local prefix, job = string.sub(KEYS[1], 1, -7), ARGV[2]
local asked = false
if ARGV[3] ~= '' then
  asked = redis.call('GET', prefix .. 'cancel:' .. job)
  if ARGV[3] == 'start' then
    if asked then return asked end
    redis.call('SET', prefix .. 'running:' .. job, '1', 'EX', 604800)
  elseif ARGV[3] == 'end' then
    redis.call('DEL', prefix .. 'running:' .. job)
  end
end
local id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', %(kept)d, '*', 'e', ARGV[1])
if KEYS[2] then
  if ARGV[5] == '0' then
    redis.call('SET', KEYS[2], ARGV[4])
  else
    redis.call('SET', KEYS[2], ARGV[4], 'EX', ARGV[5])
  end
  redis.call('PUBLISH', KEYS[2], ARGV[4])
elseif ARGV[4] then
  local recent = prefix .. 'recent:' .. job
  redis.call('XADD', recent, 'MAXLEN', '~', %(replay_kept)d, id, 'e', ARGV[1])
  redis.call('EXPIRE', recent, %(replay_seconds)d)
end
local dash = string.find(id, '-', 1, true)
local seq = tonumber(string.sub(id, 1, dash - 1)) * 4096 + tonumber(string.sub(id, dash + 1))
redis.call('PUBLISH', prefix .. 'live:job:' .. job, string.format('{"seq":%%.0f,', seq) .. string.sub(ARGV[1], 2))
return asked
"""
_REPLAYED = frozenset({"progress", "log"})
_MARKS = {
    "started": "start",
    "finished": "end",
    "retrying": "end",
    "waiting": "end",
    "progress": "look",
    "log": "look",
    "file": "look",
}
# Made once: json.dumps makes one for each call that is not plain.
_to_json = json.JSONEncoder(default=str, separators=(",", ":")).encode

# Events that could not be sent go out with the next one; the oldest are given up when Redis stays away.
Message = tuple[str, str | None, str]  # type, job, text


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """What Celery's Redis backend writes for one job: its key, the text, and for how many seconds (0: for ever)."""

    key: str
    text: str
    seconds: int


_unsent: collections.deque[Message] = collections.deque(maxlen=10_000)
_lock = threading.Lock()


def _begin_anew() -> None:
    """Give a forked process a lock of its own, which nobody holds, and leave its parent's events to the parent."""
    global _lock  # noqa: PLW0603 — a lock that another thread held at the fork would stay locked for ever
    _lock = threading.Lock()
    _unsent.clear()


os.register_at_fork(after_in_child=_begin_anew)


def stream() -> str:
    """Return the key of the stream."""
    return redis.key("events")


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


# Name of a header → what makes the writer for the runs of jobs whose messages carry it, from request and task.
_writers: dict[str, Callable[[Any, Any], Write]] = {}


def register_writer(header: str, make: Callable[[Any, Any], Write]) -> None:
    """Let the events of jobs whose messages carry `header` be written by what `make(request, task)` returns.

    For jobs that are part of something larger, whose end sets off more, in the same step as it is told.
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
    event = {"type": event_type, "job": job, "at": time.time(), **data}
    try:
        text = _to_json(event)
    except (TypeError, ValueError):
        logger.exception("Event %s of job %s cannot be written as JSON", event_type, job)
        return False, None
    try:
        return True, _send((event_type, job, text))
    except (redis.Error, OSError) as error:
        _unsent.append((event_type, job, text))
        logger.warning("Event %s of job %s waits for Redis: %s", event_type, job, error)
        return False, None


def write_end(job: str, data: dict[str, Any], result: Result) -> bool:
    """Write a `finished` event and keep the result of the job in the same step; return False if neither is done."""
    if _unsent:
        return False  # what waits goes first
    text = _to_json({"type": "finished", "job": job, "at": time.time(), **data})
    script, key = _script(django_settings.REDIS_URL)
    try:
        redis.evaluate(script, [key, result.key], [*_arguments(("finished", job, text)), result.text, result.seconds])
    except (redis.Error, OSError) as error:
        logger.warning("The end of job %s could not be written together with its result: %s", job, error)
        return False
    return True


def connect() -> None:
    """Connect this process, so that its first event is not the slow one; raises the errors of Redis."""
    script, _ = _script(django_settings.REDIS_URL)
    redis.line().script_exists(script.sha)


def _send(latest: Message) -> str | None:
    script, key = _script(django_settings.REDIS_URL)
    if _unsent:
        return _send_all(redis.line(), script, key, latest)
    return redis.evaluate(script, [key], _arguments(latest)) or None


def _send_all(client: redis.Client, script: Any, key: str, latest: Message) -> str | None:
    with _lock:
        with client.pipeline(transaction=False) as pipe:
            for message in (*_unsent, latest):
                script([key], _arguments(message), client=pipe)
            asked = pipe.execute()[-1]
        _unsent.clear()
    return asked or None


@functools.lru_cache(maxsize=4)
def _script(url: str) -> tuple[Any, str]:
    """Return the script with the limits that the settings name, and its one key."""
    limits = {
        "kept": settings.EVENTS_KEPT,
        "replay_kept": settings.REPLAY_KEPT,
        "replay_seconds": settings.REPLAY_SECONDS,
    }
    return redis.script(_EMIT % limits), stream()


def _read_settings_again(**_: Any) -> None:
    _script.cache_clear()


# Sent by tests alone; in a process that runs the settings stay what they are.
setting_changed.connect(_read_settings_again, dispatch_uid="common.events")


def _arguments(message: Message) -> list[str]:
    """Return the arguments of the script."""
    event_type, job, text = message
    if job is None:
        return [text, "None", ""]
    arguments = [text, job, _MARKS.get(event_type, "")]
    return [*arguments, "replay"] if event_type in _REPLAYED else arguments

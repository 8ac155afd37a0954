"""Paused queues and tasks: every worker obeys them, also one that is started later.

The hash `pauses` in Redis has a field for each, `queue:<name>` or `task:<name>`, with who paused it, when and why. A worker
reads it before it consumes anything, then once a second. It does not consume a paused queue, whose messages stay where they are.
The message of a paused task is put among those for later (`jobroom.celery.delayed`), without a time, until the task is
resumed. What runs, or is with a worker already, goes on.
"""

import dataclasses
import json
import logging
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from celery import signals

from jobroom import redis
from jobroom.anchors import anchor
from jobroom.celery import delayed
from jobroom.events import heartbeat

logger = logging.getLogger(__name__)

KINDS = ("queue", "task")
# Seconds between two looks of a worker.
EVERY = 1.0


@dataclasses.dataclass(frozen=True)
class Paused:
    """One queue or task that is paused."""

    kind: str
    name: str
    by: str
    reason: str
    at: float  # seconds since 1970

    @property
    def anchor(self) -> str:
        """Its place on the page of queues."""
        return anchor("pause", f"{self.kind}:{self.name}")

    @property
    def moment(self) -> datetime:
        """Since when."""
        return datetime.fromtimestamp(self.at, UTC)

    @property
    def sentence(self) -> str:
        """What is paused, by whom and why."""
        return f"the {self.kind} {self.name} is paused by {self.by}{f': {self.reason}' if self.reason else ''}"


def key() -> str:
    """Return the key of the hash of all pauses."""
    return redis.key("pauses")


def group_of(task: str) -> str:
    """Return under which name the messages of a paused task wait."""
    return f"task:{task}"


def current(client: redis.Client | None = None) -> dict[tuple[str, str], Paused]:
    """Return all that is paused, by kind and name; raises the errors of Redis."""
    found: Any = (client or redis.client()).hgetall(key())
    pauses = [Paused(**json.loads(text)) for text in found.values()]
    return {(pause.kind, pause.name): pause for pause in pauses}


def put(pauses: Iterable[Paused]) -> None:
    """Let workers hold these."""
    for pause in pauses:
        redis.client().hset(key(), f"{pause.kind}:{pause.name}", json.dumps(dataclasses.asdict(pause)))


def remove(kind: str, name: str) -> None:
    """Let workers go on with it, and with what they put aside of it."""
    redis.client().hdel(key(), f"{kind}:{name}")
    if kind == "task":
        delayed.unpark(group_of(name))


# What this worker knows to be paused.
_tasks: frozenset[str] = frozenset()


def tasks() -> frozenset[str]:
    """Return the paused tasks that this worker knows of."""
    return _tasks


def park(message: Any) -> bool:
    """Put the message of a paused task aside and acknowledge it; return whether that was done.

    While Redis does not answer the message is left alone, and the job runs: it was wanted.
    """
    headers = message.headers
    if not _tasks or not isinstance(headers, dict) or headers.get("task") not in _tasks:
        return False
    try:
        if not delayed.park(message, group_of(headers["task"]), key()):
            return False  # it was resumed since this worker looked
    except (redis.Error, OSError, TypeError, ValueError) as error:
        logger.warning("The paused job %s cannot be put aside: %s", headers.get("id"), error)
        return False
    message.ack()
    return True


class Watch(threading.Thread):
    """Looks for pauses in a worker's main process, over a connection of its own: the pool may fork at any moment."""

    def __init__(self, notify: Callable[[Iterable[str]], None]) -> None:
        super().__init__(name="pauses", daemon=True)
        self.notify = notify
        self.client = redis.connect()
        self.stopped = threading.Event()
        self.away = False
        self.known: set[tuple[str, str]] = set()
        self.beats = 0

    def look(self) -> None:
        """Take over what is paused now; while Redis is away, what was paused stays so."""
        global _tasks  # noqa: PLW0603 — one worker a process
        try:
            found = current(self.client)
        except (redis.Error, OSError, ValueError, TypeError) as error:
            if not self.away:
                logger.warning("What is paused stays paused while that cannot be read: %s", error)
            self.away = True
            return
        self.away = False
        _tasks = frozenset(name for kind, name in found if kind == "task")
        self.notify(name for kind, name in found if kind == "queue")
        if set(found) != self.known:
            self.known = set(found)
            self.beats = 3  # the consumer's loop needs a moment to follow
        if self.beats:
            self.beats -= 1
            heartbeat.beat_now()

    def run(self) -> None:
        """Look until asked to stop."""
        while not self.stopped.wait(EVERY):
            self.look()


_watch: Watch | None = None


def begin(notify: Callable[[Iterable[str]], None]) -> None:
    """Read what is paused, before the worker consumes anything, and call `notify` with the queues now and whenever it looks."""
    global _watch  # noqa: PLW0603 — one worker a process
    _watch = Watch(notify)
    _watch.look()


def _start(**_: Any) -> None:
    if _watch is not None and not _watch.is_alive() and not _watch.stopped.is_set():
        _watch.start()


def _stop(**_: Any) -> None:
    if _watch is not None:
        _watch.stopped.set()


def connect() -> None:
    """Connect to the worker's life; twice is the same as once."""
    signals.worker_ready.connect(_start, dispatch_uid="jobroom.celery.pauses")
    signals.worker_shutting_down.connect(_stop, dispatch_uid="jobroom.celery.pauses")

"""The heartbeat of workers: every few seconds which queues they serve and which jobs they hold.

A worker process is an *instance*: `default@host` that is killed and started again is a new one, so jobs of the old
one are known to be lost at once, and not only when its time-out has passed.
"""

import atexit
import dataclasses
import json
import logging
import math
import os
import socket
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from celery import bootsteps, current_app, signals
from celery.worker import state

from jobroom import exhaustion, redis
from jobroom.conf import settings
from jobroom.events import green
from jobroom.events.pacemaker import Pacemaker

logger = logging.getLogger(__name__)

# What else the worker reports of itself; set by who knows it.
extra: Callable[[], dict[str, Any]] = dict

# Kept by the pool processes, which are forked from the main process: their jobs name the main process's instance.
_instance = ""


@dataclasses.dataclass(frozen=True)
class Worker:
    """One worker process by its last heartbeat; times are seconds since 1970 on the server's clock."""

    instance: str
    name: str
    host: str
    pid: int
    queues: list[str]
    pool: str
    concurrency: int
    started: float
    held: list[str]  # ids of the jobs it holds: running, reserved, waiting for their time or for a rate limit
    tags: list[str]  # delivery tags of their messages: one job may have two messages
    starting: bool = False  # it loads what must be there before its pool is made
    clock: float = 0.0  # its own clock at the last heartbeat; times of its resources are on that clock
    resources: list[dict[str, Any]] = dataclasses.field(default_factory=list)  # see jobroom.resources.report
    waiting: dict[str, list[str]] = dataclasses.field(default_factory=dict)  # queue it does not consume → resources
    loop: float | None = None  # seconds since its consumer loop turned last; None where it cannot tell
    running: list[dict[str, Any]] = dataclasses.field(
        default_factory=list
    )  # job, task, since, until (its clock, or None)
    limited: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)  # task → rate, and its jobs that wait
    paused: list[str] = dataclasses.field(
        default_factory=list
    )  # queues that it serves and does not consume: see pauses
    quiet: bool = False  # an operator has asked it to take no jobs
    paused_tasks: list[str] = dataclasses.field(default_factory=list)
    taken: dict[str, int] = dataclasses.field(default_factory=dict)  # queue → messages that it took since its start
    seen: float = 0.0
    silent: float = 0.0  # seconds since the last heartbeat

    @property
    def alive(self) -> bool:
        """Whether the last heartbeat is recent enough."""
        own_process = self.pool not in {"prefork", "processes"}
        return self.silent < (settings.HEARTBEAT_TIMEOUT_SOLO if own_process else settings.HEARTBEAT_TIMEOUT)

    @property
    def stuck(self) -> bool:
        """Whether its heartbeat goes on while the loop that receives jobs does not turn."""
        # A pool of one runs its job in the loop.
        return self.pool != "solo" and self.loop is not None and self.loop > settings.LOOP_TIMEOUT

    @property
    def takes_jobs(self) -> bool:
        """Whether it receives jobs now, as far as anyone can see."""
        return self.alive and not self.stuck and not self.starting and not self.quiet

    @property
    def free(self) -> int:
        """How many of its processes run nothing."""
        return max(0, self.concurrency - len(self.running))


# All messages that this process has received, as `jobroom.celery.redeliveries.Request`, while anyone needs them. Celery's own tables
# forget some: those that wait for a rate limit that has been changed since.
received: weakref.WeakSet[Any] = weakref.WeakSet()

# Queue → messages that this process has taken from it.
taken: Counter[str] = Counter()

# Most jobs of one kind that a heartbeat names.
NAMED = 100

_FIELDS = {field.name for field in dataclasses.fields(Worker)}


def instance() -> str:
    """Return the name of this process's worker, unique over time; outside a worker a name of this process."""
    return _instance or f"{socket.gethostname()}/{os.getpid()}"


def has_heartbeat(name: str) -> bool:
    """Return whether instance `name` is a worker's, which beats, and not that of some process outside a worker."""
    return "@" in name


def index_key() -> str:
    """Return the key of the sorted set instance → last heartbeat."""
    return redis.key("workers")


def data_key(name: str) -> str:
    """Return the key of what instance `name` says of itself."""
    return redis.key("worker", name)


def workers() -> list[Worker]:
    """Return all workers that were seen and did not say good-bye, also the silent ones; ordered by name."""
    client = redis.client()
    seen: list[tuple[str, float]] = client.zrange(index_key(), 0, -1, withscores=True)  # type: ignore[assignment]
    if not seen:
        return []
    texts: list[str | None] = client.mget([data_key(name) for name, _ in seen])  # type: ignore[assignment]
    now = redis.now(client)
    found = [_worker(text, at, now) for (_, at), text in zip(seen, texts, strict=True) if text]
    return sorted(found, key=lambda worker: (worker.name, -worker.started))


def _worker(text: str, at: float, now: float) -> Worker:
    """Return what a worker said; one of a newer version may say more than we understand."""
    said = {name: value for name, value in json.loads(text).items() if name in _FIELDS}
    return Worker(**said, seen=at, silent=max(0.0, now - at))


def forget(name: str) -> None:
    """Remove instance `name` from the list; for a worker that stopped, or whose loss has been dealt with."""
    client = redis.client()
    client.zrem(index_key(), name)
    client.delete(data_key(name))


def note_vanished(worker: Worker, seconds: float) -> None:
    """Remember for so long that the worker vanished and what it was at, for anyone who looks at its successor."""
    loading = [row["name"] for row in worker.resources if row["state"] in {"loading", "waiting"}]
    note = {"pid": worker.pid, "at": worker.seen, "held": len(worker.held), "loading": loading}
    redis.client().set(redis.key("vanished", worker.name), json.dumps(note), ex=max(1, int(seconds)))


def vanished(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return of those workers `names` whose last process vanished what was noted; `ago` is in seconds."""
    if not names:
        return {}
    client = redis.client()
    texts: list[str | None] = client.mget([redis.key("vanished", name) for name in names])  # type: ignore[assignment]
    now = redis.now(client)
    notes = {name: json.loads(text) for name, text in zip(names, texts, strict=True) if text}
    return {name: {**note, "ago": max(0.0, now - note["at"])} for name, note in notes.items()}


class Heartbeat(threading.Thread):
    """Beats in the worker's main process, with a connection of its own, because the pool may fork at any moment."""

    def __init__(self, controller: Any) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self.controller = controller
        self.consumer: Any = None  # until the worker is ready
        self.client = redis.connect()
        self.stopped = threading.Event()
        self.writing = threading.Lock()
        self.owner = os.getpid()
        self.started_at = time.time()
        self.said: dict[str, Any] = {}  # the last heartbeat
        self.said_at = math.inf  # when it was, on the monotonic clock
        self.turned: float | None = None  # when the consumer's loop turned last, on the monotonic clock

    def describe(self) -> dict[str, Any]:
        """Return what the worker says of itself."""
        extra = self._extra()
        return {
            "instance": instance(),
            "name": self.controller.hostname,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            # Also those that wait for a resource: it is this worker that serves them.
            "queues": sorted(
                {*self.controller.app.amqp.queues.consume_from, *extra.get("waiting", ()), *extra.get("closed", ())}
            ),
            "pool": self._pool().__module__.rpartition(".")[2],
            "concurrency": self._concurrency(),
            "started": self.started_at,
            "starting": self.consumer is None,
            "taken": dict(taken),
            "clock": time.time(),
            "loop": None if self.turned is None else time.monotonic() - self.turned,
            **self.at_hand(),
            **extra,
        }

    def at_hand(self) -> dict[str, Any]:
        """Return what the worker holds and does; asks for no lock, so any thread may ask for it."""
        if self.consumer is None:
            return {"held": [], "tags": []}
        held = self._holding()
        return {"held": sorted(set(held.values())), "tags": sorted(held), **self._at_work()}

    def _extra(self) -> dict[str, Any]:
        try:
            return extra()
        except Exception:  # the boundary: a worker that lives must not look dead because of what else it reports
            logger.exception("The heartbeat carries no resources")
            return {}

    def _pool(self) -> Any:
        return type(self.consumer.pool) if self.consumer is not None else self.controller.pool_cls

    def _concurrency(self) -> int:
        if self.consumer is None:
            return int(self.controller.concurrency)
        return int(self.consumer.pool.num_processes or self.consumer.pool.limit or 0)

    def _holding(self) -> dict[str, str]:
        """Return delivery tag → job id of all requests here, asking again when the tables change under the reader."""
        for _ in range(20):
            try:
                return {str(request.message.delivery_tag): request.id for request in self._requests()}
            except RuntimeError:
                continue
        raise BlockingIOError("The worker's tables change too fast to be read.")

    def _at_work(self) -> dict[str, Any]:
        """Return what its processes run, until when at most, and what waits for a rate limit."""
        for _ in range(20):
            try:
                return {"running": self._running(), "limited": self._limited()}
            except RuntimeError:
                continue
        return {}

    def _running(self) -> list[dict[str, Any]]:
        found = []
        for request in list(state.active_requests)[:NAMED]:
            hard = (request.time_limits or [None])[0] or getattr(request.task, "time_limit", None)
            since = request.time_start
            until = since + hard if since and hard else None
            found.append({"job": request.id, "task": request.name, "since": since, "until": until})
        return found

    def _limited(self) -> dict[str, dict[str, Any]]:
        found = {}
        for name, bucket in list(self.consumer.task_buckets.items()):
            jobs = [request.id for request, _ in list(bucket.contents)] if bucket is not None else []
            if jobs:
                rate = str(self.controller.app.tasks[name].rate_limit)
                found[name] = {"rate": rate, "jobs": jobs[:NAMED], "count": len(jobs)}
        return found

    def _requests(self) -> Iterator[Any]:
        # `requests` forgets one of two messages of the same job; the sets keep both.
        for table in (state.requests.values(), state.reserved_requests, state.active_requests):
            yield from list(table)
        yield from list(state.scheduled_requests)  # type: ignore[attr-defined] # newer than the stubs
        for bucket in list(self.consumer.task_buckets.values()):
            if bucket is not None:
                yield from [request for request, _ in list(bucket.contents)]
        yield from [request for request in list(received) if not request.acknowledged]

    def beat(self) -> None:
        """Say once that the worker lives. The time is taken first: what is received later is in the next beat."""
        now = redis.now(self.client)
        described = self.describe()
        with self.writing:
            if not self.stopped.is_set():
                self.write(self.client, now, described)
                self.said, self.said_at = described, time.monotonic()

    def write(self, client: Any, now: float, described: dict[str, Any]) -> None:
        """Say what is described, as of `now` on the server's clock."""
        with client.pipeline() as pipe:
            pipe.set(data_key(instance()), json.dumps(described), ex=24 * 3600)
            pipe.zadd(index_key(), {instance(): now})
            pipe.execute()

    def withdraw(self, client: Any) -> None:
        """Take back what was said after the good-bye."""
        client.zrem(index_key(), instance())
        client.delete(data_key(instance()))

    def run(self) -> None:
        """Beat until asked to stop."""
        while not self.stopped.wait(settings.HEARTBEAT_INTERVAL):
            self.try_to_beat()

    def try_to_beat(self) -> None:
        """Beat, or log why not: a silent Redis stops no worker."""
        try:
            self.beat()
        except (redis.Error, OSError) as error:
            logger.warning("Heartbeat: Redis is unavailable: %s %s", error, exhaustion.sentence(error))

    def stop(self) -> None:
        """Say good-bye, once; a beat that a busy machine has delayed must not come after it."""
        if self.stopped.is_set():
            return
        self.stopped.set()
        written = self.writing.acquire(timeout=10)
        try:
            forget(instance())
        except (redis.Error, OSError) as error:
            logger.warning("The worker could not deregister: %s", error)
        finally:
            if written:
                self.writing.release()


_heartbeat: Heartbeat | None = None


def _name(sender: str, **_: Any) -> None:
    global _instance  # noqa: PLW0603 — one worker a process, and its forked pool must inherit the name
    _instance = f"{sender}/{os.getpid()}-{time.time():.3f}"
    current_app.steps["consumer"].add(Turns)


def begin(controller: Any, consumer: Any = None) -> None:
    """Begin to beat; without a consumer the worker is said to be starting, until this is called with one."""
    global _heartbeat  # noqa: PLW0603 — one worker a process
    fresh = _heartbeat is None
    _heartbeat = _heartbeat or Heartbeat(controller)
    _heartbeat.consumer = consumer
    if fresh:
        # A cold shutdown sends no signal at its end, and may come as soon as the first beat is out.
        atexit.register(_stop)
    _heartbeat.try_to_beat()
    if fresh:
        _heartbeat.start()
        if green.library():
            Pacemaker(_heartbeat).start()


def pool_of(consumer: Any) -> str:
    """Return the kind of pool of a consumer, such as prefork."""
    return str(type(consumer.pool).__module__.rpartition(".")[2])


def forks_pool() -> bool:
    """Return whether this is the main process of a worker that may fork a pool process at any moment."""
    mine = _heartbeat if _heartbeat is not None and _heartbeat.owner == os.getpid() else None
    return mine is not None and mine._pool().__module__.endswith(".prefork")


def beat_now() -> None:
    """Say at once what has changed, where this process beats."""
    if _heartbeat is not None and _heartbeat.owner == os.getpid():
        _heartbeat.try_to_beat()


class Turns(bootsteps.StartStopStep):
    """Begins with each connection: what was received before it is forgotten, and the loop notes its turns."""

    requires = ("celery.worker.consumer.connection:Connection",)

    def start(self, parent: Any) -> None:
        """Have the loop note its turns once a second; without a loop of Celery's own there is nothing to see."""
        received.clear()  # what came over the connection before is with others now, or runs, and Celery knows that
        if getattr(parent, "hub", None) is not None:
            _turn()
            parent.hub.call_repeatedly(1.0, _turn)


def _turn() -> None:
    if _heartbeat is not None:
        _heartbeat.turned = time.monotonic()


def _start(sender: Any, **_: Any) -> None:
    begin(sender.controller, sender)


def _stop(**_: Any) -> None:
    # A forked process says nothing for its parent.
    if _heartbeat is not None and _heartbeat.owner == os.getpid():
        _heartbeat.stop()


def connect() -> None:
    """Connect to the worker's life; twice is the same as once."""
    signals.celeryd_init.connect(_name, dispatch_uid="jobroom.events.heartbeat")
    signals.worker_ready.connect(_start, dispatch_uid="jobroom.events.heartbeat")
    signals.worker_shutdown.connect(_stop, dispatch_uid="jobroom.events.heartbeat")

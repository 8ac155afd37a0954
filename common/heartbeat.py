"""Workers say every few seconds that they live, whom they serve and what they hold; anybody may read it.

A worker process is an *instance*: `default@host` that is killed and started again is a new one, so jobs of the old
one are known to be lost at once, and not only when its time-out has passed.
"""

import atexit
import dataclasses
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from celery import signals
from celery.worker import state

from common import redis
from common.conf import settings

logger = logging.getLogger(__name__)

# What else the worker tells of itself; set by who knows it.
extra: Callable[[], dict[str, Any]] = dict

# Kept by the pool processes, which are forked from the main process: their jobs name the main process's instance.
_instance = ""


@dataclasses.dataclass(frozen=True)
class Worker:
    """One worker process as its last heartbeat told; times are seconds since 1970 on the server's clock."""

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
    resources: list[dict[str, Any]] = dataclasses.field(default_factory=list)  # see common.resources.reporting
    waiting: dict[str, list[str]] = dataclasses.field(default_factory=dict)  # queue it does not consume → resources
    seen: float = 0.0
    silent: float = 0.0  # seconds since the last heartbeat

    @property
    def alive(self) -> bool:
        """Whether the last heartbeat is recent enough."""
        own_process = self.pool not in {"prefork", "processes"}
        return self.silent < (settings.HEARTBEAT_TIMEOUT_SOLO if own_process else settings.HEARTBEAT_TIMEOUT)


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
    """Remember for so long that the worker vanished and what it was at, for whoever looks at its successor."""
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
        self.started_at = time.time()

    def describe(self) -> dict[str, Any]:
        """Return what the worker says of itself."""
        held = self._holding() if self.consumer is not None else {}
        told = self._extra()
        return {
            "instance": instance(),
            "name": self.controller.hostname,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            # Also those that wait for a resource: it is this worker that serves them.
            "queues": sorted({*self.controller.app.amqp.queues.consume_from, *told.get("waiting", ())}),
            "pool": self._pool().__module__.rpartition(".")[2],
            "concurrency": self._concurrency(),
            "started": self.started_at,
            "held": sorted(set(held.values())),
            "tags": sorted(held),
            "starting": self.consumer is None,
            "clock": time.time(),
            **told,
        }

    def _extra(self) -> dict[str, Any]:
        try:
            return extra()
        except Exception:  # the boundary: a worker that lives must not look dead because of what else it tells
            logger.exception("The heartbeat tells nothing of resources")
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

    def _requests(self) -> Iterator[Any]:
        # `requests` forgets one of two messages of the same job; the sets keep both.
        for table in (state.requests.values(), state.reserved_requests, state.active_requests):
            yield from list(table)
        yield from list(state.scheduled_requests)  # type: ignore[attr-defined] # newer than the stubs
        for bucket in list(self.consumer.task_buckets.values()):
            if bucket is not None:
                yield from [request for request, _ in list(bucket.contents)]

    def beat(self) -> None:
        """Say once that the worker lives. The time is taken first: what is received later is in the next beat."""
        now = redis.now(self.client)
        with self.client.pipeline() as pipe:
            pipe.set(data_key(instance()), json.dumps(self.describe()), ex=24 * 3600)
            pipe.zadd(index_key(), {instance(): now})
            pipe.execute()

    def run(self) -> None:
        """Beat until told to stop."""
        while not self.stopped.wait(settings.HEARTBEAT_INTERVAL):
            self.try_to_beat()

    def try_to_beat(self) -> None:
        """Beat, or log why not: a silent Redis stops no worker."""
        try:
            self.beat()
        except (redis.Error, OSError) as error:
            logger.warning("Heartbeat waits for Redis: %s", error)

    def stop(self) -> None:
        """Say good-bye."""
        self.stopped.set()
        self.join(timeout=5)
        try:
            forget(instance())
        except (redis.Error, OSError) as error:
            logger.warning("Could not say good-bye: %s", error)


_heartbeat: Heartbeat | None = None


def _name(sender: str, **_: Any) -> None:
    global _instance  # noqa: PLW0603 — one worker a process, and its forked pool must inherit the name
    _instance = f"{sender}/{os.getpid()}-{time.time():.3f}"


def begin(controller: Any, consumer: Any = None) -> None:
    """Begin to beat; without a consumer the worker is said to be starting, until this is called with one."""
    global _heartbeat  # noqa: PLW0603 — one worker a process
    fresh = _heartbeat is None
    _heartbeat = _heartbeat or Heartbeat(controller)
    _heartbeat.consumer = consumer
    _heartbeat.try_to_beat()
    if fresh:
        _heartbeat.start()
        atexit.register(_stop)  # a cold shutdown sends no signal at its end


def _start(sender: Any, **_: Any) -> None:
    begin(sender.controller, sender)


def _stop(**_: Any) -> None:
    # In a forked process the thread is not alive.
    if _heartbeat is not None and _heartbeat.is_alive():
        _heartbeat.stop()


def connect() -> None:
    """Connect to the worker's life; twice is the same as once."""
    signals.celeryd_init.connect(_name, dispatch_uid="common.heartbeat")
    signals.worker_ready.connect(_start, dispatch_uid="common.heartbeat")
    signals.worker_shutdown.connect(_stop, dispatch_uid="common.heartbeat")

"""Workers say every few seconds that they live, whom they serve and what they hold; anybody may read it.

A worker process is an *instance*: `default@host` that is killed and started again is a new one, so jobs of the old
one are known to be lost at once, and not only when its time-out has passed.
"""

import dataclasses
import json
import logging
import os
import socket
import threading
import time
from typing import Any

from celery import signals

from common import redis
from common.conf import settings

logger = logging.getLogger(__name__)

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
    held: list[str]  # ids of the messages it has not acknowledged: running, reserved, waiting for their time
    seen: float = 0.0
    silent: float = 0.0  # seconds since the last heartbeat

    @property
    def alive(self) -> bool:
        """Whether the last heartbeat is recent enough."""
        own_process = self.pool not in {"prefork", "processes"}
        return self.silent < (settings.HEARTBEAT_TIMEOUT_SOLO if own_process else settings.HEARTBEAT_TIMEOUT)


def instance() -> str:
    """Return the name of this process's worker, unique over time; outside a worker a name of this process."""
    return _instance or f"{socket.gethostname()}/{os.getpid()}"


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
    found = [
        Worker(**json.loads(text), seen=at, silent=max(0.0, now - at))
        for (_, at), text in zip(seen, texts, strict=True)
        if text
    ]
    return sorted(found, key=lambda worker: (worker.name, -worker.started))


def forget(name: str) -> None:
    """Remove instance `name` from the list; for a worker that stopped, or whose loss has been dealt with."""
    client = redis.client()
    client.zrem(index_key(), name)
    client.delete(data_key(name))


class Heartbeat(threading.Thread):
    """Beats in the worker's main process, with a connection of its own, because the pool may fork at any moment."""

    def __init__(self, consumer: Any) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self.consumer = consumer
        self.client = redis.connect()
        self.stopped = threading.Event()
        self.started_at = time.time()

    def describe(self) -> dict[str, Any]:
        """Return what the worker says of itself."""
        consumer, pool = self.consumer, self.consumer.pool
        name = type(pool).__module__.rpartition(".")[2]
        return {
            "instance": instance(),
            "name": consumer.hostname,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "queues": sorted(consumer.app.amqp.queues.consume_from),
            "pool": name,
            "concurrency": int(pool.num_processes or pool.limit or 0),
            "started": self.started_at,
            "held": self.held(),
        }

    def held(self) -> list[str]:
        """Return the ids of all requests in this worker that are not acknowledged."""
        from celery.worker import state

        waiting = [getattr(entry.entry, "args", ()) for entry in list(self.consumer.timer.schedule.queue)]
        scheduled = {args[0].id for args in waiting if args and hasattr(args[0], "task_id")}
        return sorted(scheduled.union(list(state.requests)))

    def beat(self) -> None:
        """Say once that the worker lives."""
        client = self.client
        client.set(data_key(instance()), json.dumps(self.describe()), ex=24 * 3600)
        client.zadd(index_key(), {instance(): redis.now(client)})

    def run(self) -> None:
        """Beat until told to stop."""
        while not self.stopped.is_set():
            try:
                self.beat()
            except (redis.Error, OSError) as error:
                logger.warning("Heartbeat waits for Redis: %s", error)
            except RuntimeError as error:
                logger.debug("The worker's tables changed while they were read: %s", error)
            self.stopped.wait(settings.HEARTBEAT_INTERVAL)

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


def _start(sender: Any, **_: Any) -> None:
    global _heartbeat  # noqa: PLW0603 — one worker a process
    if _heartbeat is None:
        _heartbeat = Heartbeat(sender)
        _heartbeat.beat()
        _heartbeat.start()


def _stop(**_: Any) -> None:
    if _heartbeat is not None:
        _heartbeat.stop()


def connect() -> None:
    """Connect to the worker's life; twice is the same as once."""
    signals.celeryd_init.connect(_name, dispatch_uid="common.heartbeat")
    signals.worker_ready.connect(_start, dispatch_uid="common.heartbeat")
    signals.worker_shutdown.connect(_stop, dispatch_uid="common.heartbeat")

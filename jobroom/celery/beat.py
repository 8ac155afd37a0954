"""The heartbeat of beat: it writes the time at each tick, and probes read how long ago that was.

Besides, every process that runs a beat, with whichever scheduler, says each few seconds that it is there (the hash `beats`):
any number of ours may run, and of Celery's own a second one sends everything twice.
"""

import dataclasses
import functools
import json
import logging
import os
import socket
import threading
import time
from typing import Any

from celery import signals
from redis.backoff import NoBackoff
from redis.retry import Retry

from jobroom import redis
from jobroom.conf import settings

logger = logging.getLogger(__name__)

# Least seconds between two signs; a busy scheduler ticks far more often.
INTERVAL = 1.0
# Seconds between two words of a process with a beat, after which it counts as gone, and after which it is forgotten.
PRESENCE = 3.0
GONE = 15.0
FORGOTTEN = 3600.0

_said = float("-inf")


@functools.lru_cache(maxsize=1)
def _client(address: str) -> redis.Client:
    """Return a client that does not wait for a Redis that is away: beat must get on, and says the same a second later."""
    return redis.connect(retry=Retry(NoBackoff(), 0), socket_timeout=2, socket_connect_timeout=2)


def key() -> str:
    """Return the key of the last sign, in seconds since 1970 on the server's clock."""
    return redis.key("beat")


def beat_tick() -> bool:
    """Say that beat lives, at most once a second; return whether it was said. A Redis that is away is only logged."""
    global _said  # noqa: PLW0603 — one scheduler a process
    if time.monotonic() - _said < INTERVAL:
        return False
    _said = time.monotonic()
    try:
        client = _client(settings.REDIS_URL)
        client.set(key(), redis.now(client))
    except (redis.Error, OSError) as error:
        logger.warning("Beat's heartbeat: Redis is unavailable: %s", error)
        return False
    return True


def last_beat_tick() -> float | None:
    """Return when beat ticked last, in seconds since 1970 on the server's clock; None when it never did."""
    said: str | None = redis.client().get(key())  # type: ignore[assignment]
    return float(said) if said else None


@dataclasses.dataclass(frozen=True)
class Running:
    """A process that runs a beat."""

    scheduler: str  # the name of its class
    ours: bool  # whether any number of it may run
    host: str
    pid: int
    at: float  # when it was heard of last, in seconds since 1970 on the server's clock


def running() -> list[Running]:
    """Return the processes with a beat that were heard of lately, ordered by place; forgets those long gone."""
    client = redis.client()
    now = redis.now(client)
    found: Any = client.hgetall(redis.key("beats"))
    rows = {place: Running(**json.loads(text)) for place, text in found.items()}
    if old := [place for place, row in rows.items() if now - row.at > FORGOTTEN]:
        client.hdel(redis.key("beats"), *old)
    return sorted((row for row in rows.values() if now - row.at < GONE), key=lambda row: (row.host, row.pid))


class Presence(threading.Thread):
    """Says that this process has a beat, until it ends."""

    def __init__(self, scheduler: type) -> None:
        super().__init__(name="beat-presence", daemon=True)
        self.scheduler = f"{scheduler.__module__}.{scheduler.__qualname__}"
        self.ours = any(cls.__module__.startswith("jobroom.") for cls in scheduler.__mro__)
        self.stopped = threading.Event()
        self.place = f"{socket.gethostname()}/{os.getpid()}"

    def say(self) -> None:
        """Say it once; a Redis that is away hears it next time."""
        try:
            client = _client(settings.REDIS_URL)
            row = Running(self.scheduler, self.ours, socket.gethostname(), os.getpid(), redis.now(client))
            client.hset(redis.key("beats"), self.place, json.dumps(dataclasses.asdict(row)))
        except (redis.Error, OSError) as error:
            logger.debug("Beat's presence: Redis is unavailable: %s", error)

    def run(self) -> None:
        """Say it until asked to stop, and take it back then."""
        self.say()
        while not self.stopped.wait(PRESENCE):
            self.say()
        try:
            _client(settings.REDIS_URL).hdel(redis.key("beats"), self.place)
        except (redis.Error, OSError) as error:
            logger.debug("Beat's presence: Redis is unavailable: %s", error)


def _begin(sender: Any, **_: Any) -> None:
    presence = Presence(type(sender.scheduler))
    presence.start()
    # Celery's service has no signal for its end, and calls this at it.
    sync = sender.sync

    def end() -> None:
        presence.stopped.set()
        sync()
        presence.join(timeout=3)

    sender.sync = end


def connect() -> None:
    """Connect to the life of every beat; twice is the same as once."""
    signals.beat_init.connect(_begin, dispatch_uid="jobroom.celery.beat")
    signals.beat_embedded_init.connect(_begin, dispatch_uid="jobroom.celery.beat")

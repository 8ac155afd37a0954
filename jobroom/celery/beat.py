"""The scheduler's sign of life: beat says at each tick that it lives; probes read how long ago that was."""

import functools
import logging
import time

from redis.backoff import NoBackoff
from redis.retry import Retry

from jobroom import redis
from jobroom.conf import settings

logger = logging.getLogger(__name__)

# Least seconds between two signs; a busy scheduler ticks far more often.
INTERVAL = 1.0

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

"""Counts the open sockets of all web processes for `/metrics`, in the Redis hash `sockets`."""

import logging
import os
import socket
from typing import Any

from jobroom import redis
from jobroom.live.conf import settings

logger = logging.getLogger(__name__)


def report(number: int) -> None:
    """Say how many this process has open; while Redis is away no one hears it."""
    try:
        client = redis.client()
        client.hset(redis.key("sockets"), f"{socket.gethostname()}/{os.getpid()}", f"{number} {redis.now(client)}")
    except (redis.Error, OSError) as error:
        logger.debug("No one learns how many sockets are open: %s", error)


def number() -> int:
    """Return how many are open in all processes that spoke lately; raises the errors of Redis."""
    client = redis.client()
    counts: Any = client.hgetall(redis.key("sockets"))
    now, found, old = redis.now(client), 0, []
    for place, text in counts.items():
        count, at = text.split(" ")
        if now - float(at) < 3 * settings.BEAT_INTERVAL:
            found += int(count)
        else:
            old.append(place)
    if old:
        client.hdel(redis.key("sockets"), *old)
    return found

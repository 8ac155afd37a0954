"""Follows a topic from a program without an event loop: a command in a terminal."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jobroom import redis
from jobroom.exceptions import RedisUnavailable
from jobroom.live import topics


@contextmanager
def follow(topic: str, pause: float = 1.0) -> Iterator[Iterator[dict[str, Any] | None]]:
    """Give the events of `topic` from now on as they were published; None after each `pause` seconds without one.

    Raises RedisUnavailable when there is no Redis, or no more.
    """
    try:
        with redis.connect(socket_timeout=None) as client, client.pubsub() as pubsub:
            pubsub.subscribe(topics.channel(topic))
            pubsub.get_message(timeout=10)  # the confirmation
            yield _events(pubsub, pause)
    except redis.Error as error:
        raise RedisUnavailable(str(error)) from error


def _events(pubsub: Any, pause: float) -> Iterator[dict[str, Any] | None]:
    while True:
        message = pubsub.get_message(ignore_subscribe_messages=True, timeout=pause)
        yield json.loads(message["data"]) if message else None

"""The interface to the broker: what it shows of its queues, and what it cannot."""

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

from amqp.exceptions import ChannelError
from kombu.exceptions import KombuError, OperationalError

from jobroom import redis
from jobroom.celery.connections import pooled
from jobroom.celery.queue_messages import Queues
from jobroom.exceptions import RedisUnavailable
from jobroom.queues.exceptions import NotKnowable

# What the broker being away looks like, whichever it is.
AWAY = (redis.Error, RedisUnavailable, KombuError, OperationalError, OSError)


@contextlib.contextmanager
def queues() -> Iterator[Queues]:
    """Yield the queues of a Redis broker; raise NotKnowable for another one."""
    with pooled() as connection:
        if connection.transport.driver_type != "redis":
            raise NotKnowable(
                f"The broker is {connection.transport.driver_type}, which does not show its messages: it says how many wait, "
                "and a queue can be purged or paused. Use its own tools to look at single messages."
            )
        yield Queues(connection.default_channel)


def shows_messages() -> bool:
    """Return whether the broker shows the messages that wait."""
    with pooled() as connection:
        return bool(connection.transport.driver_type == "redis")


def depths(names: Iterable[str]) -> dict[str, int]:
    """Return how many messages wait in each queue; a queue that the broker does not know is left out."""
    names = list(names)
    with pooled() as connection:
        if connection.transport.driver_type == "redis":
            return {name: sum(parts) for name, parts in Queues(connection.default_channel).depths(names).items()}
        return dict(_asked(connection, names))


def _asked(connection: Any, names: Iterable[str]) -> Iterator[tuple[str, int]]:
    for name in names:
        # The broker closes a channel on which a queue is asked for that there is not.
        with contextlib.suppress(ChannelError), connection.channel() as channel:
            yield name, int(channel.queue_declare(queue=name, passive=True).message_count)

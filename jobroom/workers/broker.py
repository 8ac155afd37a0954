"""What workers have received from a Redis broker and not acknowledged.

Kombu keeps them in a hash (delivery tag → message, exchange, routing key) and their times in a sorted set. All changes
go through Kombu's own functions, so that a new version of it cannot be misunderstood silently.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from amqp.exceptions import NotFound
from celery.worker import state
from kombu.transport import redis as kombu_redis
from kombu.utils.json import loads

from jobroom.celery import delayed, message_fetch, transport
from jobroom.celery.connections import pooled
from jobroom.celery.queue_messages import Queues, list_key

# Messages of a queue that are read at once when one of them is looked for.
CHUNK = 500


@dataclasses.dataclass(frozen=True)
class Message:
    """A message that a worker has received and not acknowledged."""

    tag: str
    job: str
    task: str
    queue: str
    retries: int


class Broker:
    """One open channel to a Redis broker."""

    def __init__(self, channel: Any) -> None:
        self.channel = channel

    def receipts(self) -> dict[str, float]:
        """Return the delivery tags of all messages that are not acknowledged, oldest first, with the time of receipt.

        The time is that of the receiver's clock, seconds since the epoch. A message that goes back and comes again
        has another tag then, unless a worker of kombu's own put it back.
        """
        found = self.channel.client.zrange(self.channel.unacked_index_key, 0, -1, withscores=True)
        return {_text(tag): float(time) for tag, time in found}

    def read(self, tags: Iterable[str]) -> list[Message]:
        """Return those of the messages `tags` that are still there."""
        tags = list(tags)
        texts = self.channel.client.hmget(self.channel.unacked_key, tags) if tags else []
        return [_message(tag, text) for tag, text in zip(tags, texts, strict=True) if text]

    def taken_out(self) -> set[str]:
        """Return the jobs whose messages an operator has taken out of their queues, and that are being dealt with."""
        return set(Queues(self.channel).jobs_taken())

    def put_back(self, tag: str) -> None:
        """Put a message back to the head of its queue, in one transaction; an acknowledged one is left alone."""
        self.channel.qos.restore_by_tag(tag)

    def drop(self, tag: str) -> None:
        """Acknowledge a message in the name of the worker that cannot do it any more."""
        message_fetch.acknowledge(self.channel, tag)

    def waiting(self, queue: str) -> Iterator[str]:
        """Yield the job of each message that waits in a queue, at every priority, the next one of each first.

        What is taken from the queue meanwhile moves the rest, away from where is read: nothing is left out.
        """
        for step in self.channel.priority_steps:
            name, end = list_key(self.channel, queue, step), -1
            while texts := self.channel.client.lrange(name, end - CHUNK + 1, end):
                yield from (str(loads(_text(text))["headers"].get("id")) for text in reversed(texts))
                end -= CHUNK


class QoS(message_fetch.QoS):
    """What a channel has received and not acknowledged; keeps what runs when the connection breaks.

    Kombu puts everything back when a channel closes. When Redis answers again at once, or only this connection was
    cut, that would start a second run beside the one that goes on in the pool, which acknowledges over the new
    connection.
    """

    def restore_unacked(self, client: Any = None) -> None:
        """Put back what does not run here; all of it when the worker stops."""
        # Their values: None or False when the worker goes on, else its exit status, which may be 0.
        flags: list[Any] = [state.should_stop, state.should_terminate]
        delivered: Any = getattr(self, "_delivered", None) or {}
        if all(flag is None or flag is False for flag in flags):
            for request in list(state.active_requests):
                delivered.pop(request.message.delivery_tag, None)
        super().restore_unacked(client)

    def restore_visible(self, start: int = 0, num: int = 10, interval: int = 10) -> None:
        """Put nothing back because of its age: what a living worker holds is its own, for as long as it takes.

        Kombu delivers again whatever was not acknowledged for the *visibility timeout*, which has to be longer than the
        longest job, and cannot be known. What a vanished worker held is given back by `jobroom.workers.rescue`.
        """


def install() -> None:
    """Let every Redis channel use our `QoS`; twice is the same as once."""
    transport.Channel.QoS = kombu_redis.Channel.QoS = QoS


@contextmanager
def connect() -> Iterator[Broker | None]:
    """Yield the broker if it is a Redis one, else None: other brokers give back by themselves what a worker held."""
    with pooled() as connection:
        yield Broker(connection.default_channel) if connection.transport.driver_type == "redis" else None


def emptied(consumers: Mapping[str, int]) -> set[str]:
    """Return those of the queues in which RabbitMQ has nothing, given how many consumers of ours each of them has.

    It counts what waits and does not show it. A queue with other consumers is none of them: what they hold no one can tell. A
    queue that is not there holds nothing.
    """
    with pooled() as connection:
        if connection.transport.driver_type != "amqp":
            return set()
        return {queue for queue, ours in consumers.items() if _is_empty(connection, queue, ours)}


def _is_empty(connection: Any, queue: str, consumers: int) -> bool:
    try:
        # The broker closes a channel on which a queue is asked for that there is not.
        with connection.channel() as channel:
            counted = channel.queue_declare(queue=queue, passive=True)
    except NotFound:
        return True
    return int(counted.message_count) == 0 and int(counted.consumer_count) <= consumers


def jobs_known(queues: Iterable[str]) -> set[str] | None:
    """Return the jobs whose messages wait in the queues or are with some worker; None if the broker does not say.

    What is with workers is read first and last: a message may move from a queue to a worker meanwhile, or back.
    """
    with connect() as found:
        if found is None:
            return None
        later = delayed.all_kept()
        known = {message.job for message in found.read(found.receipts())}
        for queue in queues:
            known.update(found.waiting(queue))
        known.update(found.taken_out())
        return known | later | {message.job for message in found.read(found.receipts())}


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _message(tag: str, text: bytes | str) -> Message:
    raw, _, routing_key = loads(_text(text))
    headers = raw.get("headers") or {}
    return Message(
        tag=tag,
        job=str(headers.get("id") or ""),
        task=str(headers.get("task") or ""),
        queue=str(routing_key),
        retries=int(headers.get("retries") or 0),
    )

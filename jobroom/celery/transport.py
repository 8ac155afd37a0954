"""Celery's Redis transport, with one client for a channel's commands instead of a new one for each.

A worker makes two for every message, one to note it as unacknowledged and one to acknowledge it, which is a tenth of
what a short job costs. While a queue is busy a message is taken, noted and the one before acknowledged in one step, see
`jobroom.celery.message_fetch`. Keys and connections stay as kombu has them: its own workers and ours may share a broker.
"""

import contextlib
import math
import time
from queue import Empty
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, redis
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import loads

from jobroom import safe_text
from jobroom.celery import message_fetch, rejection
from jobroom.celery.queue_messages import list_key
from jobroom.conf import settings


class PublishBatch(redis.PublishBatch):  # type: ignore[misc, name-defined]  # the stubs are of a release without it
    """Messages that are published in one round trip; one that the server refuses says nothing of the others."""

    def __init__(self, channel: Any, max_size: int) -> None:
        super().__init__(channel, max_size)
        # For each command the message (by its place, from 0) that it belongs to; and what the server said against some.
        self.places: list[int] = []
        self.number = 0
        self.refused: dict[int, Exception] = {}
        self._execute, self.pipeline.execute = self.pipeline.execute, self._execute_all

    def publish(self, message: Any, **options: Any) -> Any:
        """Keep one message until `flush`."""
        answer = super().publish(message, **options)
        self.places += [self.number] * (len(self.pipeline) - len(self.places))
        self.number += 1
        return answer

    def _execute_all(self) -> list[Any]:
        answers: list[Any] = self._execute(raise_on_error=False)
        refused = {place: said for place, said in zip(self.places, answers, strict=True) if isinstance(said, Exception)}
        self.refused.update(refused)
        self.places = []
        return answers


class Channel(redis.Channel):
    """A channel that keeps the client of its pool."""

    QoS = message_fetch.QoS
    _kept: Any = None
    batch: PublishBatch | None = None  # the latest
    popped: Any = None  # queue and text of the message that was taken last

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.take = message_fetch.Take(self, on=settings.TAKE_IN_ONE_STEP)

    def close(self) -> None:
        """Close the channel; what was acknowledged is sent before."""
        if not self.closed:
            with contextlib.suppress(*self.connection_errors):  # type: ignore[attr-defined]  # then they come again, as with kombu
                self.take.flush()
        super().close()

    def _connparams(self, asynchronous: bool = False) -> Any:
        """Return how connections are made: none waits for an answer longer than a publish may, whatever it is used for.

        Kombu opens a channel with a question over the connection for messages, so a publish waits for that one too.
        """
        params = super()._connparams(asynchronous)  # type: ignore[misc]
        params["socket_timeout"] = min(params["socket_timeout"] or math.inf, settings.PUBLISH_TIMEOUT)
        return params

    def create_publish_batch(self, max_size: int) -> PublishBatch:
        """Return what keeps the messages of a producer's batch."""
        self.batch = PublishBatch(self, max_size)
        return self.batch

    def _brpop_start(self, timeout: Any = None) -> None:
        """Begin to take a message: with the script while the queues are busy, else with BRPOP, which waits."""
        self.take.began = time.monotonic()
        if not (self.take.on and self.take.busy):
            super()._brpop_start(timeout)  # type: ignore[misc]
            return
        queues = self._queue_cycle.consume(len(self.active_queues))  # type: ignore[attr-defined]
        if queues:
            self.take.start([list_key(self, queue, step) for step in self.priority_steps for queue in queues])

    def _create_client(self, asynchronous: bool = False) -> Any:
        # Those that wait for messages own a connection, and kombu keeps them itself.
        if asynchronous:
            client = super()._create_client(asynchronous=True)  # type: ignore[misc]
            client.set_response_callback("BRPOP", self._note_taken)
            return client
        if (
            self._kept is None or self._kept.connection_pool is not self.pool
        ):  # a lost connection or a fork makes a new pool
            self._kept = super()._create_client()  # type: ignore[misc]
        return self._kept

    def _do_restore_message(self, payload: Any, *where: Any, **options: Any) -> None:
        """Put a message back, under another tag: who had it before may acknowledge it late."""
        with contextlib.suppress(TypeError, LookupError):
            payload["properties"]["delivery_tag"] = message_fetch.new_tag()
        super()._do_restore_message(payload, *where, **options)  # type: ignore[misc]

    def _note_taken(self, answer: Any, **_: Any) -> Any:
        self.popped = answer
        return answer

    def _brpop_read(self, **options: Any) -> Any:
        """Take a message; what is none at all is refused, and the worker goes on."""
        self.popped, self.take.places = None, ""
        try:
            with message_fetch.waits_for_room():
                if self.take.sent is not None:
                    return self._script_read()
                self.take.busy = self.take.on and time.monotonic() - self.take.began < message_fetch.AT_ONCE
                return super()._brpop_read(**options)  # type: ignore[misc]
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            if not self.popped:
                raise
            queue, raw = (bytes_to_str(part) for part in self.popped)
            refused = rejection.RefusedMessage(
                queue=queue.rsplit(self.sep, 1)[0], raw=raw[: 4 * rejection.HEAD], size=len(raw)
            )
            reason = f"It is no message: {safe_text.error_type(error)}: {safe_text.error_text(error)}"
            rejection.refuse(refused, kind="unreadable", reason=reason)
            return True

    def _script_read(self) -> bool:
        """Deliver what the script has taken; where there was nothing, wait for it."""
        try:
            self.popped = self.take.read()
        finally:
            self._in_poll = None
            self._flush_brpop_reauth()  # type: ignore[attr-defined]
        if self.popped is None:
            raise Empty
        try:
            queue = self.popped[0].rsplit(self.sep, 1)[0]
            self._queue_cycle.rotate(queue)  # type: ignore[attr-defined]
            self.connection._deliver(loads(self.popped[1]), queue)
        finally:
            self.take.noted = False
        return True


class Transport(redis.Transport):
    """Kombu's, with our channel."""

    Channel = Channel
    cycle: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.cycle = message_fetch.Poller()

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        """Let the worker's event loop look for messages."""
        self.cycle.loop = loop
        super().register_with_event_loop(connection, loop)


def register() -> None:
    """Let `redis://` and `rediss://` mean this transport in this process."""
    name = f"{__name__}:Transport"
    TRANSPORT_ALIASES.update(redis=name, rediss=name)

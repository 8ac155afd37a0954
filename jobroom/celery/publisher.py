"""Publishes messages as Celery does, except those for later (`jobroom.celery.delayed`); adds limits of time when a broker hangs.

Who sends many at once may let them go to Redis in one round trip (`together`).

And no one waits for ever. A broker that stands still takes connections and answers nothing: a publish gives up after
`PUBLISH_TIMEOUT`, and the next ones of the process at once, for a moment. It is not tried again here, because the broker may have
it in its buffers, and would have it twice. A job that publishes tries for longer: no one waits for it, and it would fail.
"""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from celery.app.amqp import AMQP as CeleryAMQP
from kombu.exceptions import BatchPublishError, OperationalError  # type: ignore[attr-defined]  # stubs of before

from jobroom import events, redis
from jobroom.celery import delayed, transport
from jobroom.conf import settings
from jobroom.current_task import get_current_task

STANDS_STILL = "The broker stands still: it takes connections and does not answer."
# Until when no one of this process asks a broker that stood still.
_silent_until = 0.0


# A job that publishes has so many times the patience of a person.
JOB_PATIENCE = 3
# Commands to Redis in one round trip, which no one comes near: kombu would send those before by themselves.
MOST = 1_000_000


class Stand:
    """Stands for a producer for the length of one call."""

    def __init__(self, producer: Any) -> None:
        self._producer = producer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer, name)


class Keeper(Stand):
    """What it is to publish is kept."""

    def __init__(self, producer: Any, due: float) -> None:
        super().__init__(producer)
        self._due = due

    def publish(self, body: Any, **options: Any) -> Any:
        """Keep the message; what cannot be written down is published at once, and a worker holds it."""
        if delayed.keep(self._due, body, options):
            return None
        return self._producer.publish(body, **options)


class Impatient(Stand):
    """Does not publish where the broker is known to stand still; what is reported of the message has shown it perhaps."""

    def __init__(self, producer: Any, app: Any) -> None:
        super().__init__(producer)
        self._app = app

    def publish(self, body: Any, **options: Any) -> Any:
        """Publish the message; raise OperationalError while the broker stands still."""
        check_silence(self._app)
        return self._producer.publish(body, **options)


class Together(Stand):
    """Keeps messages that go to Redis in one round trip, and what is reported of them, which goes before in another.

    They are made as any other, and every receiver of Celery's signals hears of each when it is made. What `send` did not send is dropped.
    """

    def __init__(self, producer: Any, app: Any, batch: Any) -> None:
        super().__init__(producer)
        self._app, self._batch = app, batch
        self._declared: dict[int, Any] = {}  # by identity: their hashes are computed at each use
        self.events: list[events.Message] = []
        self.number = 0
        self.is_sent = False

    def publish(self, body: Any, **options: Any) -> Any:
        """Keep a message; one that cannot be written raises what it would raise otherwise."""
        declare = options.pop("declare", None) or ()
        new = [entity for entity in declare if id(entity) not in self._declared]
        answer = self._producer.publish(body, declare=new, **options)
        self._declared.update((id(entity), entity) for entity in new)
        self.number += 1
        return answer

    def report(self) -> None:
        """Write the events of what is kept; where that is not possible they wait, as all do."""
        events.write_all(self.events)
        self.events.clear()

    def send(self) -> dict[int, Exception]:
        """Publish what is kept; return what the server said against single messages, by their places from 0.

        Raises OperationalError where it does not answer: then each of them may be there, or not.
        """
        if not self.number:
            return {}
        check_silence(self._app)
        try:
            self._batch.flush()
        except BatchPublishError as error:
            if not _has_timed_out(error.__cause__):
                raise OperationalError(str(error.__cause__)) from error
            _note_silence(self._app)
            raise OperationalError(STANDS_STILL) from error
        self.is_sent = True
        return dict(self._producer.channel.batch.refused)


class _NotSent(Exception):
    """Leaves kombu's batch, which would try to send it again."""


@contextlib.contextmanager
def together(app: Any) -> Iterator[Together | None]:
    """Give what keeps messages until its `send`: pass it as the producer of each.

    None where each is to be published by itself: the broker is another one than Redis, or there is no connection to it yet,
    for which one would wait here.
    """
    with app.producer_or_acquire() as producer:
        if _takes_together(producer):
            with contextlib.suppress(_NotSent), producer.batch(MOST) as batch:
                kept = Together(producer, app, batch)
                yield kept
                if not kept.is_sent:
                    raise _NotSent
            return
    yield None  # the producer is back in its pool: who publishes next gets the same one, and connects it


def _takes_together(producer: Any) -> bool:
    connection = producer.connection
    with contextlib.suppress(*connection.connection_errors):
        if connection.connected:
            return isinstance(producer.channel, transport.Channel) and producer.supports_batch_publish
    return False


class AMQP(CeleryAMQP):
    """Celery's, with a sender that keeps messages for later: `delay`, `apply_async`, retries and beat all use it."""

    def _create_task_sender(self) -> Any:
        send = super()._create_task_sender()  # type: ignore[misc]

        def send_task_message(producer: Any, name: str, message: Any, *arguments: Any, **options: Any) -> Any:
            due = delayed.due_at(message[0].get("eta"), self.app)
            in_job = get_current_task() is not None
            kept = producer.events if isinstance(producer, Together) else None
            if kept is not None:
                options["retry"] = False  # nothing is asked of the broker yet
            if due is not None and delayed.is_late(due):
                producer = Keeper(producer, due)
            elif not in_job:
                check_silence(self.app)
                producer = Impatient(producer, self.app)
            # RabbitMQ says when it has the message; on a connection that is dead it never would.
            options["confirm_timeout"] = options.get("confirm_timeout") or settings.PUBLISH_TIMEOUT
            policy = options.get("retry_policy") or {}
            patience = _Patience(self.app, in_job=in_job, errback=policy.get("errback"))
            options["retry_policy"] = {**policy, "errback": patience}
            try:
                with events.kept(kept):
                    return send(producer, name, message, *arguments, **options)
            except OperationalError as error:
                # Where there was no connection yet, the wait in vain was for one.
                if not _has_timed_out(error.__cause__):
                    raise
                _note_silence(self.app)
                raise OperationalError(STANDS_STILL) from error

        return send_task_message


def check_silence(app: Any) -> None:
    """Raise OperationalError while the broker is known to stand still."""
    if time.monotonic() < _silent_until or (redis.is_silent() and _is_our_redis(app)):
        raise OperationalError(STANDS_STILL)


class _Patience:
    """Called after each try to publish that failed: raises the error where another one would not do."""

    def __init__(self, app: Any, *, in_job: bool, errback: Any) -> None:
        self.app, self.in_job, self.errback = app, in_job, errback
        self.end = time.monotonic() + settings.PUBLISH_TIMEOUT * (JOB_PATIENCE if in_job else 1)

    def __call__(self, error: Any, interval: float) -> None:
        timed_out = _has_timed_out(error)
        if timed_out:
            _note_silence(self.app)
        if (timed_out and not self.in_job) or time.monotonic() > self.end:
            raise error
        if self.errback is not None:
            self.errback(error, interval)


def _has_timed_out(error: BaseException | None) -> bool:
    return "timeout" in type(error).__name__.lower()


def _note_silence(app: Any) -> None:
    global _silent_until  # noqa: PLW0603 — one a process
    _silent_until = time.monotonic() + redis.SILENCE
    if _is_our_redis(app):
        redis.note_silence()


def _is_our_redis(app: Any) -> bool:
    return settings.REDIS_URL in (app.conf.broker_write_url, app.conf.broker_url)

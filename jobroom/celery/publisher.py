"""Publishes messages as Celery does, except those for later (`jobroom.celery.delayed`); adds limits of time when a broker hangs.

And no one waits for ever. A broker that stands still takes connections and answers nothing: a publish gives up after
`PUBLISH_TIMEOUT`, and the next ones of the process at once, for a moment. It is not tried again here, because the broker may have
it in its buffers, and would have it twice. A job that publishes tries for longer: no one waits for it, and it would fail.
"""

import time
from typing import Any

from celery.app.amqp import AMQP as CeleryAMQP
from kombu.exceptions import OperationalError

from jobroom import redis
from jobroom.celery import delayed
from jobroom.conf import settings
from jobroom.current_task import get_current_task

STANDS_STILL = "The broker stands still: it takes connections and does not answer."
# Until when no one of this process asks a broker that stood still.
_silent_until = 0.0


# A job that publishes has so many times the patience of a person.
JOB_PATIENCE = 3


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


class AMQP(CeleryAMQP):
    """Celery's, with a sender that keeps messages for later: `delay`, `apply_async`, retries and beat all use it."""

    def _create_task_sender(self) -> Any:
        send = super()._create_task_sender()  # type: ignore[misc]

        def send_task_message(producer: Any, name: str, message: Any, *arguments: Any, **options: Any) -> Any:
            due = delayed.due_at(message[0].get("eta"), self.app)
            in_job = get_current_task() is not None
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

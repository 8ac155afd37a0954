"""Celery's consumer, hardened: a message that cannot be run is refused with a reason (`jobroom.celery.rejection`), and does not end the worker.

Whatever a broker holds may reach the main process of a worker: messages of other programs, of older code, half written
ones. Celery lets several kinds of them end the process; the message then comes back and ends the next one. Here every
message is checked before anything is done with it, whatever it raises refuses it alone, and one that came back because
its process died is counted: after MAX_LOST deaths it is not tried again.
"""

import functools
import hashlib
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from celery import signals
from celery.exceptions import InvalidTaskError, NotRegistered
from celery.worker import state
from celery.worker.consumer import Consumer as CeleryConsumer

from jobroom import redis, safe_text
from jobroom.celery import known_tasks, message_check, pauses, redeliveries, rejection, task_limits
from jobroom.conf import settings
from jobroom.events import heartbeat

logger = logging.getLogger(__name__)


class Consumer(CeleryConsumer):
    """Takes messages from the broker and hands them to the pool."""

    connection_errors: tuple[type[BaseException], ...]
    channel_errors: tuple[type[BaseException], ...]

    def __init__(self, on_task_request: Callable[[Any], Any], *args: Any, **kwargs: Any) -> None:
        """Take what Celery gives; what hands a request to the pool is guarded from now on."""
        controller = kwargs.get("controller")
        inner = getattr(controller, "_process_task", None)
        if inner is not None and not isinstance(inner, functools.partial):
            guarded = functools.partial(self._hand_on, controller, inner)
            controller._process_task = guarded  # type: ignore[union-attr]
            on_task_request = guarded if on_task_request == inner else on_task_request
        super().__init__(on_task_request, *args, **kwargs)

    @staticmethod
    def _hand_on(controller: Any, inner: Callable[[Any], Any], request: Any) -> None:
        """Hand a request to the pool; one that cannot be is refused, and its place is free again."""
        try:
            inner(request)
        except Exception as error:  # the boundary: one message must not end the process that holds the others
            logger.exception("Job %s cannot be handed to the pool", request.id)
            with suppress(AttributeError):
                controller._quick_release()
            _forget(controller, request)
            reason = (
                f"The worker cannot hand it to its pool: {safe_text.error_type(error)}: {safe_text.error_text(error)}"
            )
            rejection.refuse(rejection.read(request.message), kind="invalid", reason=reason)
            request.reject(requeue=False)

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], Any]:
        """Return what is called with each message."""
        inner = super().create_task_handler(*args, **kwargs)
        away: tuple[type[BaseException], ...] = (*self.connection_errors, *self.channel_errors, redis.Error)

        def receive(message: Any) -> None:
            trial = None
            try:
                heartbeat.taken[rejection.queue_of(message)] += 1
                message_check.check(message)
                if pauses.park(message) or task_limits.hold_back(message, self.app):
                    return
                trial = _trial(message)
                if trial is not None and redeliveries.exhausted(trial.deaths):
                    self._refuse(message, "repeated", _describe_deaths(trial.deaths))
                else:
                    inner(message)
            except away:
                raise
            except Exception as error:  # noqa: BLE001 — the boundary: see above
                said = f"{safe_text.error_type(error)}: {safe_text.error_text(error)}"
                reason = (
                    safe_text.error_text(error)
                    if isinstance(error, InvalidTaskError)
                    else f"It cannot be read ({said})."
                )
                self._refuse(message, "invalid", reason, error)
            finally:
                if trial is not None:
                    trial.over()

        return receive

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Refuse a message whose task this worker does not know."""
        refused = rejection.read(message)
        reason = known_tasks.unknown_task(refused.task, refused.queue)
        self._refuse(message, "unknown", reason, NotRegistered(reason))
        signals.task_unknown.send(sender=self, message=message, exc=exc, name=refused.task, id=refused.job)

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Refuse a message that is no call of a task, or whose content type is not accepted."""
        self._refuse(message, "invalid", safe_text.error_text(exc), exc)
        signals.task_rejected.send(sender=self, message=message, exc=exc)

    def on_unknown_message(self, body: Any, message: Any) -> None:
        """Refuse a message that is none of Celery's."""
        self._refuse(message, "invalid", "It is no message of Celery: it names no task.")
        signals.task_rejected.send(sender=self, message=message, exc=None)

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Refuse a message whose content cannot be decoded."""
        kind = safe_text.text_of(message.content_type)
        self._refuse(
            message, "undecodable", f"Its content ({kind}) cannot be decoded: {safe_text.error_text(exc)}", exc
        )

    def _refuse(self, message: Any, kind: str, reason: str, error: Exception | None = None) -> None:
        rejection.refuse(rejection.read(message), kind=kind, reason=reason, error=error)
        if not message.acknowledged:
            message.reject_log_error(logger, self.connection_errors)


def _forget(controller: Any, request: Any) -> None:
    """Strike a request that was not handed on from the tables of worker and pool."""
    state.task_ready(request)
    cache = getattr(getattr(controller.pool, "_pool", None), "_cache", None) or {}
    for job in list(cache.values()):
        if getattr(job, "correlation_id", None) == request.id and not job.accepted():
            job.discard()


class _Trial:
    """Handing on one message that came back: counted before, forgotten after."""

    def __init__(self, key: str, deaths: int) -> None:
        self.key = key
        self.deaths = deaths

    def over(self) -> None:
        """Note that the process has survived it."""
        with suppress(redis.Error, OSError):
            redis.client().delete(self.key)


def _trial(message: Any) -> _Trial | None:
    """Count that this process is about to hand on a message that came back; None for one that did not.

    Only messages that come back are counted, which costs the others nothing: the first death is the one that sent it back.
    """
    info = message.delivery_info if isinstance(message.delivery_info, dict) else {}
    if not (info.get("redelivered") or (message.headers or {}).get("redelivered")):
        return None
    body = message.body if isinstance(message.body, bytes) else str(message.body).encode("utf-8", "replace")
    name = (message.headers or {}).get("id") or hashlib.blake2b(body, digest_size=16).hexdigest()
    key = redis.key("handing", str(name))
    try:
        with redis.client().pipeline() as pipe:
            pipe.incr(key)
            pipe.expire(key, redeliveries.REMEMBERED)
            return _Trial(key, int(pipe.execute()[0]))
    except redis.Error as error:
        logger.warning("The deaths over message %s cannot be counted: %s", name, error)
        return None


def _describe_deaths(deaths: int) -> str:
    return (
        f"The main process of a worker died {deaths} times while it took this message, so it is not tried again "
        f"(MAX_LOST = {settings.MAX_LOST})."
    )

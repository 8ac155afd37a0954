"""Refuses a message that no worker can run: a failed job with its reason, and a dead letter for operators."""

import dataclasses
import logging
from typing import Any

from celery import current_app
from celery.app.task import Context
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import loads

from jobroom import events, safe_text, truncation
from jobroom.arguments import storable
from jobroom.arguments.redaction import hide_arguments, hide_in_text
from jobroom.conf import settings
from jobroom.events import heartbeat

logger = logging.getLogger(__name__)

# Characters of the raw message that a dead letter keeps.
HEAD = 2_000
# A longer body is not decoded to learn the arguments of a job that will not run.
READABLE = 1_000_000


class MessageRefused(Exception):
    """No worker can run the message."""


@dataclasses.dataclass(slots=True)
class RefusedMessage:
    """What is known of a message that is refused; any of it may be missing."""

    job: str = ""
    task: str = ""
    queue: str = ""
    headers: dict[str, Any] = dataclasses.field(default_factory=dict)
    call: tuple[Any, Any, Any] | None = None  # args, kwargs, embed
    raw: str = ""
    size: int = 0

    @property
    def is_tracked(self) -> bool:
        """Whether a job of it can be recorded."""
        return bool(self.job) and not self.task.startswith("celery.")


def read(message: Any) -> RefusedMessage:
    """Return what can be read of a message; never raises."""
    headers = message.headers if isinstance(message.headers, dict) else {}
    info = message.delivery_info if isinstance(message.delivery_info, dict) else {}
    raw = message.body if isinstance(message.body, str | bytes) else safe_text.repr_of(message.body)
    call = _call_of(message, len(raw))
    return RefusedMessage(
        job=_plain(headers.get("id")),
        task=_plain(headers.get("task")),
        queue=_plain(info.get("routing_key")),
        headers=headers,
        call=call,
        raw=bytes_to_str(raw[: 4 * HEAD]),
        size=len(raw),
    )


def queue_of(message: Any) -> str:
    """Return the queue that a message was taken from, empty where it does not say; never raises."""
    info = message.delivery_info if isinstance(message.delivery_info, dict) else {}
    return _plain(info.get("routing_key"))


def _plain(value: Any) -> str:
    fits = isinstance(value, str) and 0 < len(value) <= 255 and storable.is_plain(value)
    return value if fits else ""


def _call_of(message: Any, size: int) -> tuple[Any, Any, Any] | None:
    if size > READABLE:
        return None
    try:
        args, kwargs, embed = loads(message.body)
    except Exception:  # noqa: BLE001 — the boundary: whatever is wrong with it, it is what the refusal is about
        return None
    fits = isinstance(args, list) and isinstance(kwargs, dict) and isinstance(embed, dict | None)
    return (args, kwargs, embed or {}) if fits else None


def refuse(refused: RefusedMessage, *, kind: str, reason: str, error: Exception | None = None) -> None:
    """Record that a refused message will not run; `error` is what Celery's result should be."""
    reason = truncation.shorten(hide_in_text(reason), settings.ERROR_LIMIT)
    logger.error("The message of job %s (%s) is refused: %s", refused.job or "?", refused.task or "?", reason)
    worker = heartbeat.instance().partition("/")[0]
    head = truncation.shorten(hide_in_text(refused.raw), HEAD)
    events.emit(
        "refused", refused.job or None, task=refused.task, queue=refused.queue, worker=worker, kind=kind, reason=reason,
        head=head, size=refused.size,
    )  # fmt: skip
    if refused.is_tracked:
        _end_job(refused, kind, reason)
    if refused.job:
        _fail_in_celery(refused, error or MessageRefused(reason))


def _end_job(refused: RefusedMessage, kind: str, reason: str) -> None:
    part = {name: refused.headers[name] for name in ("workflow", "node") if _plain(refused.headers.get(name))}
    if not refused.headers.get("tracked") and not part:
        args, kwargs, embed = refused.call or ([], {}, {})
        plain_args, plain_kwargs = hide_arguments(None, args, kwargs)
        events.emit(
            "queued", refused.job, task=refused.task, queue=refused.queue, args=plain_args, kwargs=plain_kwargs,
            source="code", retries=0, **({"bound": True} if any((embed or {}).values()) else {}),
        )  # fmt: skip
    events.emit(
        "finished", refused.job, state="failed", execution=None, runtime=None, error=reason,
        error_type=_type(refused, kind), error_bases=[], traceback="", **part,
    )  # fmt: skip


def _type(refused: RefusedMessage, kind: str) -> str:
    if refused.call is None and not refused.headers.get("tracked"):
        return events.MESSAGE_UNREADABLE
    return _TYPES.get(kind, "MessageRefused")


_TYPES = {"unknown": "NotRegistered", "repeated": "WorkerLost", "rejected": events.MESSAGE_REJECTED}


def _fail_in_celery(refused: RefusedMessage, error: Exception) -> None:
    """Let anyone who waits for the result, a chord or the next of a chain, know that it failed."""
    _, _, embed = refused.call or (None, None, {})
    try:
        request = Context({**refused.headers, **embed, "delivery_info": {}, "is_eager": False})
        current_app.backend.mark_as_failure(refused.job, error, request=request)
    except Exception:  # the boundary: what refers to the job may be as broken as the message
        logger.exception("The result backend could not be given the failure of job %s", refused.job)

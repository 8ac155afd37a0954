"""Checks the form of a message before the main process of a worker reads it."""

from typing import Any

from celery.exceptions import InvalidTaskError

from jobroom import safe_text
from jobroom.arguments import storable
from jobroom.celery import payload_limits


def check(message: Any) -> None:
    """Raise InvalidTaskError, which names the remedy, when the main process must not touch the message."""
    headers, body = message.headers, message.body
    if not isinstance(headers, dict) or "task" not in headers:
        return  # of the older protocol: Celery looks into its body
    for name in ("id", "task"):
        value = headers.get(name)
        if not isinstance(value, str) or not 0 < len(value) <= 255 or not storable.is_plain(value):
            raise InvalidTaskError(f"Its {name} must be a plain text of 1 to 255 characters.")
    limits = headers.get("timelimit")
    if limits is not None and not _are_limits(limits):
        raise InvalidTaskError("Its time limits must be two numbers of seconds, or null.")
    if not isinstance(headers.get("retries") or 0, int):
        raise InvalidTaskError("Its number of retries must be a whole number.")
    if payload_limits.is_deep(headers):
        raise InvalidTaskError(f"Its headers are nested deeper than {payload_limits.DEEPEST} levels.")
    text = body if isinstance(body, str) else bytes(body or b"").decode("utf-8", "replace")
    if reason := payload_limits.problem(text):
        raise InvalidTaskError(f"Its arguments cannot be passed on. {reason}")


def _are_limits(limits: Any) -> bool:
    return (
        isinstance(limits, list | tuple)
        and len(limits) == 2
        and all(value is None or (isinstance(value, int | float) and value > 0) for value in limits)
    )


def check_call(args: Any, kwargs: Any, embed: Any) -> None:
    """Raise InvalidTaskError when a decoded message is no call of a task."""
    if not isinstance(args, list | tuple):
        raise InvalidTaskError(f"Its positional arguments are no list, but {safe_text.class_name(args)}.")
    if not isinstance(kwargs, dict):
        raise InvalidTaskError(f"Its named arguments are no object, but {safe_text.class_name(kwargs)}.")
    if not isinstance(embed, dict | None):
        raise InvalidTaskError(f"What it carries of its canvas is no object, but {safe_text.class_name(embed)}.")

"""Decodes a message for people: headers, arguments without secrets, retries, times, origin, and what follows it."""

import base64
import binascii
import dataclasses
from datetime import datetime
from typing import Any

from celery import current_app
from kombu.utils.json import loads

from jobroom import safe_text
from jobroom.arguments.redaction import hide, hide_arguments
from jobroom.celery.queue_messages import Stored
from jobroom.jobs.recorder.parse import moment

# What stands in a place of its own, or says again what does.
_SHOWN = frozenset({
    "id", "task", "retries", "eta", "expires", "origin", "group", "root_id", "parent_id", "argsrepr", "kwargsrepr", "lang",
    "stamps", "stamped_headers", "shadow", "group_index", "tracked", "redelivered",
})  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Message:
    """One message of a queue."""

    position: int
    digest: str
    size: int  # bytes
    job: str = ""
    task: str = ""
    args: list[Any] = dataclasses.field(default_factory=list)
    kwargs: dict[str, Any] = dataclasses.field(default_factory=dict)
    retries: int = 0
    eta: datetime | None = None
    expires: datetime | None = None
    origin: str = ""  # the process that sent it
    priority: int | None = None
    parent_id: str = ""
    root_id: str = ""
    group: str = ""
    follows: list[str] = dataclasses.field(default_factory=list)  # what is sent when it ends, in words
    headers: dict[str, Any] = dataclasses.field(default_factory=dict)  # the others
    redelivered: bool = False
    problem: str = ""  # why it cannot be read, in a sentence


def decode(stored: Stored) -> Message:
    """Return what a message says; one that cannot be read says why, and never raises."""
    try:
        return _decoded(stored)
    except Exception as error:  # noqa: BLE001 — the boundary: whatever lies in a queue, its page must show the rest
        said = f"{safe_text.error_type(error)}: {safe_text.error_text(error)}"
        return Message(
            stored.position, stored.digest, len(stored.text), problem=f"It is no message of Celery ({said})."
        )


def _decoded(stored: Stored) -> Message:
    raw: dict[str, Any] = loads(stored.text.decode())
    headers: dict[str, Any] = raw.get("headers") or {}
    properties: dict[str, Any] = raw.get("properties") or {}
    task = str(headers.get("task") or "")
    args, kwargs, embed, problem = _call(raw, properties, task)
    return Message(
        position=stored.position,
        digest=stored.digest,
        size=len(stored.text),
        job=str(headers.get("id") or "")[:255],
        task=task[:255],
        args=args,
        kwargs=kwargs,
        retries=int(headers.get("retries") or 0),
        eta=moment(headers.get("eta")),
        expires=moment(headers.get("expires")),
        origin=str(headers.get("origin") or ""),
        priority=properties.get("priority") or None,
        parent_id=str(headers.get("parent_id") or ""),
        root_id=str(headers.get("root_id") or ""),
        group=str(headers.get("group") or ""),
        follows=_follows(embed),
        headers={name: hide(value) for name, value in headers.items() if name not in _SHOWN and _says_something(value)},
        redelivered=bool(headers.get("redelivered")),
        problem=problem if headers else "It has no headers, so it is no message of Celery's protocol 2.",
    )


def _call(
    raw: dict[str, Any], properties: dict[str, Any], task: str
) -> tuple[list[Any], dict[str, Any], dict[str, Any], str]:
    kind = str(raw.get("content-type") or "")
    if kind != "application/json":
        return [], {}, {}, f"Its content is {kind or 'of no known type'}, which is not opened here: only JSON is."
    body: Any = raw.get("body") or ""
    try:
        text = base64.b64decode(body) if properties.get("body_encoding") == "base64" else body
        args, kwargs, embed = loads(text)
        plain, named = hide_arguments(getattr(current_app.tasks.get(task), "run", None), args, kwargs)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError, binascii.Error) as error:
        return [], {}, {}, f"Its content cannot be read ({safe_text.error_type(error)})."
    return plain, named, embed if isinstance(embed, dict) else {}, ""


def _says_something(value: Any) -> bool:
    return any(value) if isinstance(value, list | tuple) else bool(value)


def _follows(embed: dict[str, Any]) -> list[str]:
    """Return what hangs on the message, in the order in which it would run."""
    found = []
    for name, word in (("chain", "then"), ("callbacks", "on success"), ("errbacks", "on failure"), ("chord", "chord")):
        steps = embed.get(name)
        steps = [steps] if isinstance(steps, dict) else steps if isinstance(steps, list) else []
        # Celery keeps a chain last first.
        for step in reversed(steps) if name == "chain" else steps:
            found.append(f"{word}: {step.get('task', '?') if isinstance(step, dict) else '?'}")
    return found

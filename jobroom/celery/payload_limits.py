"""Checks what travels in a message: JSON of bounded size and depth, where it is published and where it is received.

A worker's main process passes a message on to its pool, which a structure nested a thousand deep breaks: the process
ends, the message comes back, and the next process ends too. So such a message is not sent, and not accepted.
"""

import re
from collections.abc import Mapping
from typing import Any

from kombu import serialization
from kombu.utils import json

from jobroom import safe_text
from jobroom.conf import settings
from jobroom.exceptions import UnsendableMessage

# Levels of a whole message: arguments (at most `storable.DEEPEST`) inside a signature inside a chord.
DEEPEST = 200
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_MARK = '"__type__"'
_BRACKET = re.compile(r"[\[\]{}]")


def problem(text: str) -> str:
    """Return a sentence about JSON text that no message can hold, empty where it may travel."""
    if len(text) > settings.MESSAGE_LIMIT:
        return (
            f"It has {len(text):,} bytes, and a message at most {settings.MESSAGE_LIMIT:,} (MESSAGE_LIMIT): "
            "put it into a file or a row, and pass its id."
        )
    if text.count("[") + text.count("{") > DEEPEST and _depth(text) > DEEPEST:
        return f"It is nested deeper than {DEEPEST} levels: pass a flat list, or put it into a file."
    return _unreadable(text) if _MARK in text else ""


def _unreadable(text: str) -> str:
    """Return a sentence about JSON that Celery could write and no one could read: its marks for other types, misused."""
    try:
        json.loads(text)
    except Exception as error:  # noqa: BLE001 — the boundary: each mark has a reader of its own, also of other packages
        said = f"{safe_text.error_type(error)}: {safe_text.error_text(error)}"
        return f"It has an object with the keys __type__ and __value__, which Celery keeps for itself ({said}): rename them."
    return ""


def _depth(text: str) -> int:
    deepest = depth = 0
    for bracket in _BRACKET.findall(_STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def is_deep(value: Any) -> bool:
    """Return whether a value is nested deeper than a message may be."""
    left = [(value, 1)]
    while left:
        item, depth = left.pop()
        if not isinstance(item, Mapping | list | tuple):
            continue
        if depth > DEEPEST:
            return True
        left += [(part, depth + 1) for part in (item.values() if isinstance(item, Mapping) else item)]
    return False


def _encode(value: Any) -> str:
    try:
        text = json.dumps(value)
    except RecursionError as error:
        raise UnsendableMessage(f"It is nested deeper than {DEEPEST} levels, or contains itself.") from error
    if reason := problem(text):
        raise UnsendableMessage(reason)
    return text


def register() -> None:
    """Let `json` be written with these bounds in this process, no matter who publishes or keeps a result."""
    serialization.register("json", _encode, json.loads, content_type="application/json", content_encoding="utf-8")

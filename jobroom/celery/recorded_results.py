"""The text that is recorded of what a task returns: JSON without secrets, and bounded."""

from typing import Any

from kombu.utils.json import dumps

from jobroom import safe_text, truncation
from jobroom.arguments.redaction import HIDDEN, hide_in_json, returns_secret, running
from jobroom.conf import settings


def shown(result: Any, task: Any = None) -> str | None:
    """Return the result as the JSON text that is recorded; what is no JSON, or too long, as a text about it."""
    if result is None:
        return None
    if returns_secret(getattr(task, "run", None)):
        return dumps(HIDDEN)
    try:
        text = dumps(result)
    except Exception:  # noqa: BLE001 — the boundary: the result's own `__json__` is foreign code
        text = dumps(truncation.shorten(safe_text.repr_of(result), settings.RESULT_LIMIT))
    text = hide_in_json(text, running())
    limit = settings.RESULT_LIMIT
    return text if len(text) <= limit else dumps(truncation.shorten(text, limit))

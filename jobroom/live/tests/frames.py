"""Reads what a live socket sends."""

import json
from typing import Any


def messages(frame: str) -> list[dict[str, Any]]:
    """Return the messages in a frame, which holds one or a list of them."""
    content = json.loads(frame)
    return content if isinstance(content, list) else [content]

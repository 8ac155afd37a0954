"""Says which values no message and no database can hold as they are."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

# Deeper JSON than this is nobody's argument, and what reads it later is recursive.
DEEPEST = 100
NUMBER = "A number is too large, or is none (NaN)."
TEXT = "A text contains U+0000 or half of a surrogate pair."
DEPTH = f"It is nested deeper than {DEEPEST} levels."


def unstorable(arguments: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return for each argument that cannot be kept as it is the reason; values that are no JSON are not looked into."""
    found = {name: sorted(set(_reasons(value))) for name, value in arguments.items()}
    return {name: reasons for name, reasons in found.items() if reasons}


def _reasons(value: Any) -> Iterator[str]:
    # A list of what is left to do, and not recursion: it must not fail at what it is to find.
    left = [(value, 0)]
    while left:
        item, depth = left.pop()
        if isinstance(item, str) and not is_plain(item):
            yield TEXT
        elif isinstance(item, float) and not math.isfinite(item):
            yield NUMBER
        elif isinstance(item, dict | list | tuple) and depth >= DEEPEST:
            yield DEPTH
        elif isinstance(item, dict):
            left += [(part, depth + 1) for pair in item.items() for part in pair]
        elif isinstance(item, list | tuple):
            left += [(part, depth + 1) for part in item]


def is_plain(text: str) -> bool:
    """Return whether PostgreSQL holds the text: it takes no NUL, and UTF-8 no halves of surrogate pairs."""
    return "\x00" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)

"""Finds values that no message or database can store as they are, and reads JSON within bounds.

Everything that a person sends as JSON (bodies, fields of forms, options of commands, frames of sockets) is read by `parse`,
so that what comes after it need not fear depth, digits, numbers of values, or characters that no database takes.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

# Deeper JSON than this is no one's argument, and what reads it later is recursive.
DEEPEST = 100
# More digits take Python quadratic time, and beyond 4,300 it refuses to write them.
DIGITS = 1000
# Most names in all objects of one value, and most values in it: each costs a check, and some a query.
MOST_NAMES = 10_000
MOST_VALUES = 100_000
NUMBER = "A number is too large, or is none (NaN)."
LONG_NUMBER = f"A number has more than {DIGITS:,} digits."
TEXT = "A text contains U+0000 or half of a surrogate pair."
DEPTH = f"It is nested deeper than {DEEPEST} levels."
NAMES = f"It has more than {MOST_NAMES:,} names. Send so much as a file."
VALUES = f"It has more than {MOST_VALUES:,} values. Send so much as a file."
_HALVES = re.compile("[\ud800-\udfff]")
# Bits of the greatest number that is taken.
_BITS = int(DIGITS * math.log2(10)) + 1


class WrongJson(ValueError):
    """It is JSON, but beyond the bounds; the message is the reason as a sentence."""


def parse(text: str | bytes, *, storable: bool = True) -> Any:
    """Return the value of JSON that a person has sent; raise ValueError, or WrongJson where it is beyond the bounds.

    Without `storable` it is left to `unstorable`, which names the field, to refuse texts and numbers that cannot be kept.
    """
    try:
        value = json.loads(text, parse_int=_whole, parse_constant=_constant if storable else float)
    except RecursionError:
        raise WrongJson(f"It is nested too deeply. {DEPTH}") from None
    if reasons := sorted(set(_reasons(value)) - (set() if storable else {NUMBER, TEXT})):
        raise WrongJson(" ".join(reasons))
    return value


def _whole(digits: str) -> int:
    if len(digits) > DIGITS:
        raise WrongJson(LONG_NUMBER)
    return int(digits)


def _constant(name: str) -> Any:
    raise WrongJson(NUMBER)


def unstorable(arguments: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return for each argument that cannot be kept as it is the reason; values that are no JSON are not looked into."""
    if len(arguments) > MOST_NAMES:
        return {"arguments": [NAMES]}
    found = {name: sorted(set(_reasons(value))) for name, value in arguments.items()}
    return {name: reasons for name, reasons in found.items() if reasons}


def _reasons(value: Any) -> Iterator[str]:
    # A list of what is left to do, and not recursion: it must not fail at what it is to find.
    left = [(value, 0)]
    values = names = 0
    while left:
        item, depth = left.pop()
        values += 1
        if isinstance(item, dict | list | tuple):
            names += len(item) if isinstance(item, dict) else 0
            if over := _too_much(item, depth, names, values + len(left)):
                yield over
                if over != DEPTH:
                    return
                continue
            parts = (part for pair in item.items() for part in pair) if isinstance(item, dict) else item
            left += [(part, depth + 1) for part in parts]
        elif reason := _of_scalar(item):
            yield reason


def _too_much(item: Any, depth: int, names: int, values: int) -> str:
    if depth >= DEEPEST:
        return DEPTH
    if names > MOST_NAMES:
        return NAMES
    return VALUES if values + len(item) > MOST_VALUES else ""


def _of_scalar(item: Any) -> str:
    if isinstance(item, str):
        return "" if is_plain(item) else TEXT
    if isinstance(item, float):
        return "" if math.isfinite(item) else NUMBER
    return LONG_NUMBER if isinstance(item, int) and item.bit_length() > _BITS else ""


def plain(text: str) -> str:
    """Return the text without what no database holds."""
    return _HALVES.sub("", text.replace("\x00", ""))


def is_plain(text: str) -> bool:
    """Return whether PostgreSQL holds the text: it takes no NUL, and UTF-8 no halves of surrogate pairs."""
    return "\x00" not in text and _HALVES.search(text) is None

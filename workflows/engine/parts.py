"""Cuts out of a result what others need of it."""

from collections.abc import Iterable, Sequence
from typing import Any

from kombu.utils.json import dumps

from workflows.graph import Path, Ref


def parts_of(name: str, value: Any, paths: Iterable[Sequence[str | int]]) -> dict[str, str]:
    """Return the wanted parts of the result of a node as JSON, by the names that the scripts know them by.

    A part that is not there becomes a text that begins with `!` and says so: the node that needs it fails with that.
    """
    from workflows.engine.records import field

    found = {}
    for path in paths:
        key = name if not path else f"{name}/{field(Ref(0, tuple(path))).partition('/')[2]}"
        found[key] = _part(value, tuple(path))
    return found


def _part(value: Any, path: Path) -> str:
    at = value
    for number, key in enumerate(path):
        try:
            at = at[key]
        except (KeyError, IndexError, TypeError):
            where = "".join(f"[{step!r}]" for step in path[: number + 1])
            return f"!A result that this node needs has no {where}; it is {_kind(at)}."
    try:
        return dumps(at)
    except (TypeError, ValueError) as error:
        return f"!A result that this node needs cannot be written as JSON: {error}"


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        return f"an object with {', '.join(map(str, list(value)[:10])) or 'no keys'}"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    return f"{type(value).__name__} {str(value)[:60]!r}"

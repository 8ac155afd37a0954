"""Selects the part of a result that another node needs."""

from collections.abc import Iterable, Sequence
from typing import Any

from kombu.utils.json import dumps

from jobroom import safe_text
from jobroom.celery import payload_limits
from jobroom.workflows.engine.records import field
from jobroom.workflows.graph import Path, Ref


def parts_of(name: str, value: Any, paths: Iterable[Sequence[str | int]]) -> dict[str, str]:
    """Return the wanted parts of the result of a node as JSON, by the names that the scripts know them by.

    A part that is not there becomes a text that begins with `!` and says so: the node that needs it fails with that.
    """
    found = {}
    for path in paths:
        key = name if not path else f"{name}/{field(Ref(0, tuple(path))).partition('/')[2]}"
        found[key] = _part(value, tuple(path))
    return found


def parts_of_item(name: str, value: Any, wants: Iterable[Sequence[str | int]]) -> dict[str, str]:
    """Return the result of one item of a fan-out (`index.item`), and what others need of it by its place in the list.

    An item does not know how many there are. What is wanted of one that is counted from the end each keeps under its own name.
    """
    head, _, number = name.partition(".")
    paths = [tuple(path) for path in wants if path]
    found = parts_of(name, value, [(), *(path[1:] for path in paths if _from_the_end(path) and len(path) > 1)])
    for path in paths:
        if path[0] == int(number):
            found[field(Ref(int(head), path))] = _part(value, path[1:])
    return found


def _from_the_end(path: Path) -> bool:
    return isinstance(path[0], int) and path[0] < 0


def _part(value: Any, path: Path) -> str:
    at = value
    for number, key in enumerate(path):
        try:
            at = at[key]
        except Exception:  # noqa: BLE001 — the boundary: what a task returns may have a `__getitem__` of its own
            where = "".join(f"[{step!r}]" for step in path[: number + 1])
            return f"!A result that this node needs has no {where}; it is {_kind(at)}."
    try:
        text = dumps(at)
        return (
            f"!A result that this node needs cannot be sent. {wrong}"
            if (wrong := payload_limits.problem(text))
            else text
        )
    except Exception as error:  # noqa: BLE001 — the boundary: the result's own `__json__` is foreign code
        return f"!A result that this node needs cannot be written as JSON: {safe_text.error_text(error)}"


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        return f"an object with {', '.join(map(safe_text.text_of, list(value)[:10])) or 'no keys'}"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    return f"{type(value).__name__} {safe_text.text_of(value)[:60]!r}"

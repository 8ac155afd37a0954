"""Combines the reports of several processes about the same resource into one."""

from collections import Counter
from typing import Any

from jobroom.resources.declaration import Resource
from jobroom.resources.instance import State

# What is wrong comes first.
_ORDER = [State.FAILED, State.LOADING, State.WAITING, State.READY, State.UNLOADED]


def together(made: Resource[Any], own: dict[str, Any] | None, said: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what a worker reports of one resource: of its main process if that holds it, else of its children."""
    rows = [own] if own is not None else said
    worst = min(rows, key=lambda row: _ORDER.index(State(row["state"])), default=None)
    counts = Counter(row["state"] for row in rows)
    loaded = [row for row in rows if row["loaded_at"]]
    return {
        "name": made.name,
        "queues": list(made.queues),
        "shared": own is not None and made.share,
        "state": worst["state"] if worst else str(State.WAITING),
        "since": worst["since"] if worst else 0.0,
        "error": next((row["error"] for row in rows if row["error"]), ""),
        "retry_at": max((row["retry_at"] for row in rows), default=0.0),
        "attempts": max((row["attempts"] for row in rows), default=0),
        "versions": sorted({row["version"] for row in loaded if row["version"] is not None}),
        "next_version": next((row["next_version"] for row in rows if row["next_version"]), None),
        "refused": next((row["refused"] for row in rows if row["refused"]), None),
        "size": sum(row["size"] for row in loaded),
        "seconds": max((row["seconds"] for row in loaded), default=0.0),
        "loaded_at": max((row["loaded_at"] for row in loaded), default=0.0),
        "last_used": max((row["last_used"] for row in [*rows, *said]), default=0.0),
        "processes": len(rows),
        "states": dict(counts),
    }

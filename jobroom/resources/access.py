"""How a task gets its resources: as attributes or arguments, with errors that say what to do."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from jobroom.resources.exceptions import ResourceNotHere
from jobroom.resources.instance import Held
from jobroom.resources.registry import find

# The resources of this process, in a worker those of its queues.
held: dict[str, Held] = {}

# Objects that stand in for resources, and whether this process may load any: tests and commands say so.
_given: dict[str, Any] = {}
_allowed = 0
_is_worker = False


def be_worker() -> None:
    """Say that this process runs jobs, so that resources may be loaded."""
    global _is_worker  # noqa: PLW0603 — one role a process
    _is_worker = True


@contextmanager
def allowed_here() -> Iterator[None]:
    """Let this process load resources while inside the block: for commands that do a worker's work themselves."""
    global _allowed  # noqa: PLW0603 — one process, one answer
    _allowed += 1
    try:
        yield
    finally:
        _allowed -= 1
        if not _allowed and not _is_worker:
            held.clear()


@contextmanager
def given(objects: Mapping[str, Any]) -> Iterator[None]:
    """Let `objects` stand in for the resources of their names while inside the block."""
    for name in objects:
        find(name)
    before = dict(_given)
    _given.update(objects)
    try:
        yield
    finally:
        _given.clear()
        _given.update(before)


def _here(name: str) -> Held:
    """Return the resource in this process, of a worker whose queues do not name it too; it loads at first use."""
    if name not in held:
        found = find(name)
        if not (_is_worker or _allowed):
            raise ResourceNotHere(
                f"The resource {name} is loaded in workers of the queue{'s' * (len(found.queues) > 1)} "
                f"{', '.join(found.queues)} only, never in this process. Launch the task as a job; a command says "
                "`with allowed_here():`, a test `with use_resource(...)` of jobroom.testing.resources."
            )
        held.setdefault(name, Held(found))
    return held[name]


def current(name: str) -> Any:
    """Return the object that a job starting now would be given.

    Raises UnknownResource, ResourceNotHere outside workers, ResourceNotReady while it cannot be had.
    """
    if name in _given:
        return _given[name]
    with _here(name).use() as value:
        return value


@contextmanager
def in_hand(names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Give the objects of `names` for as long as a job runs; raise ResourceNotReady when one cannot be had."""
    with ExitStack() as stack:
        yield {name: _given[name] if name in _given else stack.enter_context(_here(name).use()) for name in names}

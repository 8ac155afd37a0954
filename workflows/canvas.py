"""Takes Celery's canvas apart into nodes: signature, chain, group, chord, map, starmap and chunks, nested at will.

What each node is given follows Celery: the result of what comes before is the first argument unless the signature is
immutable, and a list where a group comes before (https://docs.celeryq.dev/en/stable/userguide/canvas.html).
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

from celery.canvas import Signature, _chain, chord, chunks, group, maybe_signature

from workflows.graph import Node

# No result comes before.
NOTHING: Any = object()


@dataclasses.dataclass(slots=True)
class Part:
    """What a piece of canvas became: the nodes that must end before what follows it, and what it returns."""

    ends: list[Node]
    value: Any = NOTHING


@dataclasses.dataclass(slots=True)
class Given:
    """What comes from outside into a piece of canvas: its first arguments, callbacks, and where it lies on the page."""

    args: tuple[Any, ...] = ()
    links: tuple[Any, ...] = ()
    errbacks: tuple[Any, ...] = ()
    boxes: tuple[str, ...] = ()

    def inside(self, box: str) -> "Given":
        """Return the same, one box further in, without what is meant for the piece's end alone."""
        return Given(self.args, (), self.errbacks, (*self.boxes, box))


class Reader:
    """Adds the nodes of a canvas to a workflow. `add` makes one node: it is given signature, dependencies and extras."""

    def __init__(self, add: Any, app: Any) -> None:
        self.add = add
        self.app = app
        self.boxes = 0

    def read(self, canvas: Any, before: Part, given: Given) -> Part:
        """Add a canvas that follows `before`; return what it became."""
        canvas = maybe_signature(canvas, app=self.app)
        given = Given(
            (*given.args, *_own_args(canvas)),
            (*given.links, *_listed(canvas, "link")),
            (*given.errbacks, *_listed(canvas, "link_error")),
            given.boxes,
        )
        if isinstance(canvas, chunks):
            return self._group(canvas.group(), before, given)
        if isinstance(canvas, _chain):
            return self._chain(canvas, before, given)
        if isinstance(canvas, chord):
            return self._chord(canvas, before, given)
        if isinstance(canvas, group):
            return self._group(canvas, before, given)
        return self._signature(canvas, before, given)

    def _signature(self, signature: Signature[Any], before: Part, given: Given, *, chord_body: bool = False) -> Part:
        first = [] if before.value is NOTHING else [before.value]
        args = list(signature.args) if signature.immutable else [*first, *given.args, *signature.args]
        node = self.add(signature, args, before.ends, given, chord_body=chord_body)
        return Part([node], _result(node))

    def _chain(self, chain: Any, before: Part, given: Given) -> Part:
        steps = [_unrolled(maybe_signature(step, app=self.app)) for step in chain.tasks]
        part = before
        for number, step in enumerate(steps):
            last = number == len(steps) - 1
            args = given.args if number == 0 else ()
            part = self.read(step, part, Given(args, given.links if last else (), given.errbacks, given.boxes))
        return part

    def _group(self, canvas: Any, before: Part, given: Given) -> Part:
        tasks = list(canvas.tasks)
        parts = self._members(tasks, before, given.inside(self._box("group")))
        if not parts:
            return Part(before.ends, [])
        for link in given.links:  # as group.link does: on the first member alone
            parts[0].ends[0].embed.setdefault("callbacks", []).append(link)
        return Part(_ends(parts), _values(tasks, parts))

    def _members(self, tasks: Sequence[Any], before: Part, given: Given) -> list[Part]:
        return [self.read(task, before, given) for task in tasks]

    def _chord(self, canvas: Any, before: Part, given: Given) -> Part:
        box = self._box("chord")
        header = canvas.tasks
        tasks = list(header.tasks) if isinstance(header, group) else list(header)
        parts = self._members(tasks, before, Given(given.args, (), (), (*given.boxes, box)))
        gathered = Part(_ends(parts) or before.ends, _values(tasks, parts))
        body: Any = maybe_signature(canvas.body, app=self.app)
        inner = Given((), given.links, given.errbacks, (*given.boxes, box))
        if not isinstance(body, _chain | chord | group | chunks):
            inner = Given(
                (), (*inner.links, *_listed(body, "link")), (*inner.errbacks, *_listed(body, "link_error")), inner.boxes
            )
            return self._signature(body, gathered, inner, chord_body=True)
        return self.read(body, gathered, inner)

    def _box(self, kind: str) -> str:
        self.boxes += 1
        return f"{kind} {self.boxes}"


def _result(node: Node) -> Any:
    from workflows.graph import Ref

    return Ref(node.index)


def _ends(parts: Sequence[Part]) -> list[Node]:
    return list({node.index: node for part in parts for node in part.ends}.values())


def _values(tasks: Sequence[Any], parts: Sequence[Part]) -> list[Any]:
    """Return the list that the members of a group return; a group in a group adds its members to it."""
    found: list[Any] = []
    for task, part in zip(tasks, parts, strict=True):
        if task.get("subtask_type") == "group":
            found.extend(part.value)
        else:
            found.append(part.value)
    return found


def _unrolled(step: Any) -> Any:
    """Return the only member of a group of one: as a step of a chain Celery runs it without the group."""
    while isinstance(step, group) and len(tasks := list(step.tasks)) == 1:
        step = tasks[0]
    return step


def _own_args(canvas: Any) -> tuple[Any, ...]:
    """Return arguments that a chain, group or chord was called with; a signature's own are its node's."""
    return tuple(canvas.args or ()) if isinstance(canvas, _chain | chord | group) else ()


def _listed(canvas: Any, name: str) -> list[Any]:
    found = canvas.options.get(name) or []
    return list(found) if isinstance(found, list | tuple) else [found]

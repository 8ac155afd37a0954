"""Converts Celery's canvas into nodes: signature, chain, group, chord, map, starmap and chunks, nested at will.

What each node is given follows Celery: the result of what comes before is the first argument unless the signature is
immutable, and a list where a group comes before (https://docs.celeryq.dev/en/stable/userguide/canvas.html).
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

from celery.canvas import Signature, chord, chunks, group, maybe_signature

from jobroom.celery.signatures import is_chain
from jobroom.workflows.graph import Node, Ref

# No result comes before.
NOTHING: Any = object()


@dataclasses.dataclass(slots=True)
class Part:
    """What a piece of canvas became: the nodes that must end before what follows it, and what it returns.

    `tail` and `passing`: nodes whose failure Celery reports to the chord whose header the piece is a part of, where the piece is
    the last of that part, and where something follows it in a chain. `members`: of a group, each with its first node.
    `first`: the first node of the piece.
    """

    ends: list[Node]
    value: Any = NOTHING
    tail: frozenset[int] = frozenset()
    passing: frozenset[int] = frozenset()
    members: list[tuple[Any, Node]] = dataclasses.field(default_factory=list)
    first: Node | None = None


@dataclasses.dataclass(slots=True)
class Given:
    """What comes from outside into a piece of canvas: its first arguments, callbacks, and where it lies on the page."""

    args: tuple[Any, ...] = ()
    links: tuple[Any, ...] = ()
    errbacks: tuple[Any, ...] = ()
    boxes: tuple[str, ...] = ()
    step: bool = False  # it is a step of a chain, which gives its errbacks on when it is run

    def inside(self, box: str) -> "Given":
        """Return the same, one box further in, without what is meant for the piece's end alone."""
        return Given(self.args, (), self.errbacks, (*self.boxes, box))


class Reader:
    """Adds the nodes of a canvas to a workflow. `add` makes one node: it is given signature, dependencies and extras."""

    def __init__(self, add: Any, app: Any) -> None:
        self.add = add
        self.app = app
        self.boxes = 0
        self.made: list[Node] = []

    def read(self, canvas: Any, before: Part, given: Given) -> Part:
        """Add a canvas that follows `before`; return what it became."""
        canvas = maybe_signature(canvas, app=self.app)
        given = Given(
            (*given.args, *_own_args(canvas)),
            (*given.links, *_listed(canvas, "link")),
            _joined(given.errbacks, _listed(canvas, "link_error")),
            given.boxes,
            given.step,
        )
        number = len(self.made)
        part = self._read(canvas, before, given)
        part.first = self.made[number] if len(self.made) > number else None
        return part

    def _read(self, canvas: Any, before: Part, given: Given) -> Part:
        if isinstance(canvas, chunks):
            return self._group(canvas.group(), before, given)
        if is_chain(canvas):
            return self._chain(canvas, before, given)
        if isinstance(canvas, chord):
            return self._chord(canvas, before, given)
        if isinstance(canvas, group):
            return self._group(canvas, before, given)
        return self._signature(canvas, before, given)

    def _signature(self, signature: Signature[Any], before: Part, given: Given) -> Part:
        first = [] if before.value is NOTHING else [before.value]
        args = list(signature.args) if signature.immutable else [*first, *given.args, *signature.args]
        node = self.add(signature, args, before.ends, given)
        self.made.append(node)
        only = frozenset({node.index})
        return Part([node], _result(node), only, only)

    def _chain(self, chain: Any, before: Part, given: Given) -> Part:
        steps = _steps([_unrolled(maybe_signature(step, app=self.app)) for step in chain.tasks])
        part, passing = before, frozenset[int]()
        for number, step in enumerate(steps):
            last = number == len(steps) - 1
            args = given.args if number == 0 else ()
            inner = Given(args, given.links if last else (), given.errbacks, given.boxes, step=True)
            # Also behind a group: the body of that one is to Celery the chord whose header this is.
            if isinstance(step, group) and not last:
                part = self._header(step, part, inner)
            elif part.members and number:
                part = self._body(step, part, inner)
            else:
                part = self.read(step, part, inner)
            passing |= part.passing if not last else frozenset()
        return Part(part.ends, part.value, passing | part.tail, passing | part.passing, part.members)

    def _header(self, canvas: Any, before: Part, given: Given) -> Part:
        """Add a group that something follows: to Celery it is the header of a chord."""
        own = tuple(_listed(canvas, "link_error"))
        inner = Given((*given.args, *_own_args(canvas)), (), own, given.boxes)
        tasks = list(canvas.tasks)
        parts = self._members(tasks, before, inner.inside(self._box("group")))
        if not parts:
            return Part(before.ends, [])
        return self._gathered(tasks, parts)

    def _group(self, canvas: Any, before: Part, given: Given) -> Part:
        tasks = list(canvas.tasks)
        parts = self._members(tasks, before, given.inside(self._box("group")))
        if not parts:
            return Part(before.ends, [])
        for link in given.links:  # as group.link does: on the first member alone
            parts[0].ends[0].embed.setdefault("callbacks", []).append(link)
        return self._gathered(tasks, parts)

    def _gathered(self, tasks: Sequence[Any], parts: Sequence[Part]) -> Part:
        tails = frozenset[int]().union(*(part.tail for part in parts))
        members: list[tuple[Any, Node]] = []
        for task, part in zip(tasks, parts, strict=True):
            if isinstance(
                maybe_signature(task, app=self.app), group
            ):  # Celery takes its members for those of the outer one
                members += part.members
            elif part.first is not None:
                members.append((task, part.first))
        return Part(_ends(parts), _values(tasks, parts), tails, tails, members)

    def _members(self, tasks: Sequence[Any], before: Part, given: Given) -> list[Part]:
        return [self.read(task, before, given) for task in tasks]

    def _chord(self, canvas: Any, before: Part, given: Given) -> Part:
        box = self._box("chord")
        header = canvas.tasks
        tasks = list(header.tasks) if isinstance(header, group) else list(header)
        parts = self._members(tasks, before, Given(given.args, (), (), (*given.boxes, box)))
        gathered = self._gathered(tasks, parts)
        gathered.ends = gathered.ends or before.ends
        inner = Given((), given.links, given.errbacks, (*given.boxes, box), given.step)
        part = self._body(canvas.body, gathered, inner)
        body: Any = maybe_signature(canvas.body, app=self.app)
        unrolled = given.step and _led_by_task(body) and len(body.tasks) > 1
        tail = part.tail | gathered.tail if unrolled else part.tail
        return Part(part.ends, part.value, tail, gathered.tail | part.passing, part.members)

    def _body(self, body: Any, header: Part, given: Given) -> Part:
        """Add the body of a chord, and note which errbacks Celery calls when a part of the header has failed."""
        whole: Any = maybe_signature(body, app=self.app)
        # A chain gives its errbacks to a chord in it, which gives them to its innermost body alone; a chord that is the
        # body of another is run by itself, and no step of the chain.
        own = isinstance(whole, chord)
        inner = dataclasses.replace(given, step=given.step and not own)
        part = self.read(whole, Part(header.ends, header.value), inner)
        outside = _joined(tuple(_listed(whole, "link_error")), () if own and given.step else given.errbacks)
        if isinstance(whole, group):
            for task, node in part.members:
                self._guard(node, header, _joined(self._errbacks_of(task), outside))
        elif part.first is not None:
            led = given.step and _led_by_task(whole)  # then Celery takes the first step alone for the body
            first = _listed(maybe_signature(whole.tasks[0], app=self.app), "link_error") if led else ()
            self._guard(part.first, header, _joined(tuple(first), outside))
        return part

    def _errbacks_of(self, task: Any) -> tuple[Any, ...]:
        """Return the errbacks of what a member of a group returns, as Celery looks for them: through bodies of chords."""
        task = maybe_signature(task, app=self.app)
        found = _joined((), _listed(task, "link_error"))
        if isinstance(task, chord):
            return _joined(found, self._errbacks_of(task.body))
        if isinstance(task, group):
            return _joined(found, *(self._errbacks_of(member) for member in task.tasks))
        return found

    def _guard(self, node: Node, header: Part, errbacks: tuple[Any, ...]) -> None:
        if errbacks and header.tail:
            node.guards.append({"of": sorted(header.tail), "errbacks": [dict(errback) for errback in errbacks]})

    def _box(self, kind: str) -> str:
        self.boxes += 1
        return f"{kind} {self.boxes}"


def _result(node: Node) -> Any:
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


def _steps(steps: Sequence[Any]) -> list[Any]:
    """Return the steps of a chain as Celery runs them where it matters: a chord whose body is led by a task is followed by
    the rest of its body, so that a group at its end is a header for what follows."""
    found: list[Any] = []
    for step in steps:
        before: Any = found[-1] if found else None
        if isinstance(before, chord) and _led_by_task(before.body) and isinstance(before.body.tasks[-1], group):
            # A release of Celery that does not take it apart has no such method.
            unroll = getattr(before, "_unroll_body", None)
            found[-1:] = [before] if unroll is None else unroll()
        found.append(step)
    return found


def _own_args(canvas: Any) -> tuple[Any, ...]:
    """Return arguments that a chain, group or chord was called with; a signature's own are its node's."""
    return tuple(canvas.args or ()) if is_chain(canvas) or isinstance(canvas, chord | group) else ()


def _led_by_task(body: Any) -> bool:
    """Return whether a chord's body is a chain that Celery takes apart where the chord is a step of a chain."""
    return is_chain(body) and bool(body.tasks) and not isinstance(body.tasks[0], group)


def _joined(first: Sequence[Any], *more: Sequence[Any]) -> tuple[Any, ...]:
    """Return all errbacks, each of them once, as Celery's own lists have them."""
    found = list(first)
    for errback in (errback for errbacks in more for errback in errbacks):
        if errback not in found:
            found.append(errback)
    return tuple(found)


def _listed(canvas: Any, name: str) -> list[Any]:
    found = canvas.options.get(name) or []
    return list(found) if isinstance(found, list | tuple) else [found]

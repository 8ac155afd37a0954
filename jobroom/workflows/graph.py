"""The graph of a workflow as plain data: nodes, dependencies, and which results they get.

Nothing here knows Celery, Redis or the database. A graph is made once, checked, and then only read.
"""

import dataclasses
import enum
import json
from collections import deque
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import Any

from kombu.utils.json import JSONEncoder

from jobroom.workflows.exceptions import Cycle, InvalidGraph

VERSION = 1
# Marks a place in arguments where the result of a node goes: {REF: index} or {REF: index, "path": ["total", 0]}.
REF = "$node"
# Marks the place of one item in the arguments of a fan-out.
ITEM = "$item"

Path = tuple[str | int, ...]


class When(enum.IntEnum):
    """The condition of an edge: how the parent must end."""

    SUCCESS = 0
    FAILURE = 1
    ALWAYS = 2
    TIMEOUT = 3  # of a node that waits for an event: no one delivered it in time


class Kind(enum.StrEnum):
    """What a node is."""

    TASK = "task"  # one job
    VALUE = "value"  # no job: its result is made of others' results
    APPROVAL = "approval"  # waits for a person
    EVENT = "event"  # waits for something that is delivered from outside
    FAN_OUT = "fan_out"  # one job for each item of a list that another node returns


@dataclasses.dataclass(frozen=True, slots=True)
class Ref:
    """The result of a node, or a part of it, as an argument of a later node."""

    index: int
    path: Path = ()
    # The workflow whose node it is, while it is written: an index alone would fit any other as well.
    of: Any = dataclasses.field(default=None, compare=False, repr=False)

    def __getitem__(self, key: str | int) -> "Ref":
        """Return the reference to a part of the result: a key of an object, or an index of a list."""
        return Ref(self.index, (*self.path, key), self.of)

    def __iter__(self) -> Iterator[Any]:
        """Refuse: how many parts there are is not known before the node has run."""
        raise TypeError("The result of a node is not known yet. Use fan_out to run a task for each of its items.")

    def plain(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {REF: self.index, "path": list(self.path)} if self.path else {REF: self.index}


@dataclasses.dataclass(slots=True)
class Node:
    """One node. `args` and `kwargs` are JSON in which references stand where results go."""

    index: int
    key: str
    id: str
    kind: Kind = Kind.TASK
    task: str = ""
    args: list[Any] = dataclasses.field(default_factory=list)
    kwargs: dict[str, Any] = dataclasses.field(default_factory=dict)
    parents: list[tuple[int, When]] = dataclasses.field(default_factory=list)
    join: str = "all"  # all: every edge must come true; any: the first that does is enough
    options: dict[str, Any] = dataclasses.field(default_factory=dict)  # queue, priority, limits, retry, see messages
    embed: dict[str, Any] = dataclasses.field(default_factory=dict)  # callbacks and errbacks of Celery
    guards: list[dict[str, Any]] = dataclasses.field(
        default_factory=list
    )  # errbacks that are called if it is blocked by …
    group: list[str] = dataclasses.field(default_factory=list)  # the boxes it lies in on the page, outermost first
    label: str = ""
    weight: float = 1.0
    payload: dict[str, Any] = dataclasses.field(default_factory=dict)  # custom_payload
    over: Any = None  # of a fan-out: the reference to the list
    value: Any = None  # of a value: JSON with references

    @property
    def title(self) -> str:
        """What people read: its label, else its key in words."""
        return self.label if self.label and self.label != self.key else in_words(self.key)

    @property
    def waits_outside(self) -> bool:
        """Whether it has no job, and waits for a person or for an event."""
        return self.kind in {Kind.APPROVAL, Kind.EVENT}

    def references(self) -> Iterator[Ref]:
        """Yield every reference in what the node is given."""
        yield from references((self.args, self.kwargs, self.over, self.value))

    def plain(self) -> dict[str, Any]:
        """Return the JSON form, without what is as it is by default."""
        found: dict[str, Any] = {"key": self.key, "id": self.id}
        for field in dataclasses.fields(self):
            if field.name in {"index", "key", "id"}:
                continue
            value = getattr(self, field.name)
            default = field.default if field.default is not dataclasses.MISSING else _made(field)
            if value != default:
                found[field.name] = [[p, int(w)] for p, w in value] if field.name == "parents" else value
        return found


def in_words(key: str) -> str:
    """Return a key such as `make_thumbnails` as a title; what holds anything but lower-case words stays as it is."""
    words = key.replace("_", " ").replace("-", " ").split()
    plain = bool(words) and all(word.isdecimal() or (word.isalpha() and word == word.lower()) for word in words)
    return f"{key[0].upper()}{' '.join(words)[1:]}" if plain and key[0].isalpha() else key


def _made(field: "dataclasses.Field[Any]") -> Any:
    return field.default_factory() if field.default_factory is not dataclasses.MISSING else None


@dataclasses.dataclass(slots=True)
class Graph:
    """All nodes of a workflow; a node's index is its place in `nodes`."""

    nodes: list[Node] = dataclasses.field(default_factory=list)
    on_failure: int | None = None  # runs once when something failed and nothing more can run
    finalizer: int | None = None  # runs once at the very end
    result: Any = None  # JSON with references: what the workflow returns
    lenient: bool = False  # a failure that a failure edge deals with does not make the workflow fail

    @property
    def handlers(self) -> frozenset[int]:
        """The nodes that do not count as work: the failure handler and the finalizer."""
        return frozenset(index for index in (self.on_failure, self.finalizer) if index is not None)

    def job_id(self, node: str) -> str:
        """Return the id of the job of a node, or of one item of a fan-out."""
        head, dot, item = node.partition(".")
        return f"{self.nodes[int(head)].id}{dot}{item}"

    def children(self) -> list[list[tuple[int, When]]]:
        """Return for each node those that wait for it."""
        found: list[list[tuple[int, When]]] = [[] for _ in self.nodes]
        for node in self.nodes:
            for parent, when in node.parents:
                found[parent].append((node.index, when))
        return found

    def descendants(self, start: Iterable[int], but: Container[int] = ()) -> set[int]:
        """Return all nodes that wait, directly or not, for one of `start`; not `but`, nor what waits for those alone."""
        children, found, queue = self.children(), set[int](), deque(start)
        while queue:
            for child, _ in children[queue.popleft()]:
                if child not in found and child not in but:
                    found.add(child)
                    queue.append(child)
        return found

    def order(self) -> list[int]:
        """Return the indexes so that parents come first; raise Cycle, which names the nodes of one."""
        waits = [len(node.parents) for node in self.nodes]
        children = self.children()
        ready = deque(index for index, count in enumerate(waits) if count == 0)
        found = []
        while ready:
            index = ready.popleft()
            found.append(index)
            for child, _ in children[index]:
                waits[child] -= 1
                if waits[child] == 0:
                    ready.append(child)
        if len(found) < len(self.nodes):
            raise Cycle(self._circle({index for index, count in enumerate(waits) if count > 0}))
        return found

    def _circle(self, stuck: set[int]) -> list[str]:
        """Return the keys along one circle among the nodes that can never run."""
        path: list[int] = []
        index = min(stuck)
        while index not in path:
            path.append(index)
            index = next(parent for parent, _ in self.nodes[index].parents if parent in stuck)
        circle = [*path[path.index(index) :], index]
        return [self.nodes[at].key for at in reversed(circle)]

    def check(self) -> None:
        """Raise InvalidGraph if the graph can not be run as it is: a circle, an unknown node, an impossible reference."""
        if not self.nodes:
            raise InvalidGraph("The workflow has no nodes. Add at least one.")
        known = len(self.nodes)
        for node in self.nodes:
            for parent, _ in node.parents:
                if not 0 <= parent < known:
                    raise InvalidGraph(f"Node “{node.key}” waits for node number {parent}, which does not exist.")
        self.order()
        for node in self.nodes:
            self._check_references(node)

    def _check_references(self, node: Node) -> None:
        wanted = {ref.index for ref in node.references()}
        if not wanted:
            return
        for index in wanted - self.ancestors(node.index):
            other = self.nodes[index].key if 0 <= index < len(self.nodes) else str(index)
            raise InvalidGraph(
                f"Node “{node.key}” uses the result of “{other}”, but does not wait for it. Make it depend on it."
            )

    def ancestors(self, index: int) -> set[int]:
        """Return all nodes that the node waits for, directly or not."""
        direct = {parent for parent, _ in self.nodes[index].parents}
        if {ref.index for ref in self.nodes[index].references()} <= direct:
            return direct  # enough for every caller that checks references, and by far the most frequent case
        found, queue = set[int](), deque([index])
        while queue:
            for parent, _ in self.nodes[queue.popleft()].parents:
                if parent not in found:
                    found.add(parent)
                    queue.append(parent)
        return found

    def plain(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "version": VERSION,
            "nodes": [node.plain() for node in self.nodes],
            "on_failure": self.on_failure,
            "finalizer": self.finalizer,
            "result": self.result,
            "lenient": self.lenient,
        }

    def dumps(self) -> str:
        """Return the JSON text."""
        return json.dumps(self.plain(), separators=(",", ":"), default=to_json)

    @classmethod
    def loads(cls, text: str | bytes) -> "Graph":
        """Return the graph that `dumps` wrote."""
        return cls.load(json.loads(text))

    @classmethod
    def load(cls, data: Mapping[str, Any]) -> "Graph":
        """Return the graph of the JSON form."""
        return cls(
            nodes=[_node(index, item) for index, item in enumerate(data["nodes"])],
            on_failure=data.get("on_failure"),
            finalizer=data.get("finalizer"),
            result=data.get("result"),
            lenient=bool(data.get("lenient")),
        )


def _node(index: int, item: Mapping[str, Any]) -> Node:
    rest = {name: value for name, value in item.items() if name not in {"kind", "parents"}}
    parents = [(parent, When(when)) for parent, when in item.get("parents", ())]
    return Node(index=index, kind=Kind(item.get("kind", "task")), parents=parents, **rest)


def to_json(value: Any) -> Any:
    """Return the JSON form of a reference; what json.dumps calls for values that it does not know."""
    if isinstance(value, Ref):
        return value.plain()
    return JSONEncoder().default(value)


def is_reference(value: Any) -> bool:
    """Return whether `value` is the JSON form of a reference, or one itself."""
    return isinstance(value, Ref) or (isinstance(value, Mapping) and REF in value and set(value) <= {REF, "path"})


def as_reference(value: Any) -> Ref:
    """Return the reference that `is_reference` recognized."""
    return value if isinstance(value, Ref) else Ref(value[REF], tuple(value.get("path", ())))


def references(value: Any) -> Iterator[Ref]:
    """Yield every reference in JSON, in order."""
    if is_reference(value):
        yield as_reference(value)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from references(item)
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for item in value:
            yield from references(item)

"""The boxes of a graph: nodes, groups that are open or closed, and bundles where there are too many.

`draw` depends on the shape of the graph alone, never on how far the workflow has come: its answer can be kept.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Sequence, Set

from jobroom.workflows.graph import Graph, Kind, Node, When
from jobroom.workflows.picture.layout import Box, Layout, Link, Point, layered, ranks_of

WIDTH, HEIGHT = 200.0, 50.0
# Inside of an opened box.
SIDE, TOP, BOTTOM = 16.0, 34.0, 16.0
# Around everything.
MARGIN = 24.0
# More than this is not drawn one by one: what is alike is bundled.
MOST = 1500
# From so many nodes on, boxes with more members than that are shut at first.
MANY, FEW = 120, 8
# Steps that one bundle stands for, when everything else is still too much, are as many as give so many bundles.
STEPS = 200

Path = tuple[str, ...]


@dataclasses.dataclass(slots=True)
class Shape:
    """One box of the picture: a node, or what stands for several."""

    id: str
    label: str
    nodes: tuple[int, ...]
    kind: str  # task, value, approval, event, fan_out; group: shut, frame: opened; bundle: many that are alike
    x: float = 0.0
    y: float = 0.0
    width: float = WIDTH
    height: float = HEIGHT
    hint: str = ""  # the second line of a handler
    to: list[str] = dataclasses.field(default_factory=list)  # the boxes that wait for it

    @property
    def index(self) -> int:
        """The node that it is."""
        return self.nodes[0]


@dataclasses.dataclass(slots=True)
class Line:
    """One edge of the picture, or a part of one from box to frame."""

    when: When
    points: list[Point]
    ends: bool  # whether its right end is a box, so that it has an arrow

    @property
    def path(self) -> str:
        """The line as SVG has it: it swings between ranks and is straight along a lane."""
        (x, y), *rest = self.points
        parts, swing = [f"M{x:.0f} {y:.0f}"], True
        for to_x, to_y in rest:
            middle = (x + to_x) / 2
            straight = not swing or abs(to_y - y) < 0.5
            parts.append(
                f"L{to_x:.0f} {to_y:.0f}"
                if straight
                else f"C{middle:.0f} {y:.0f} {middle:.0f} {to_y:.0f} {to_x:.0f} {to_y:.0f}"
            )
            x, y, swing = to_x, to_y, not swing
        return "".join(parts)

    @property
    def middle(self) -> Point:
        """Where its word stands."""
        (ax, ay), (bx, by) = self.points[0], self.points[1]
        return (ax + bx) / 2, (ay + by) / 2


@dataclasses.dataclass(slots=True)
class Drawing:
    """The whole picture."""

    shapes: list[Shape]
    frames: list[Shape]
    lines: list[Line]
    width: float
    height: float
    bundled: bool  # whether what is alike was put together, because there is too much
    groups: int  # how many boxes there are, opened or shut

    def shape_of(self, index: int) -> Shape | None:
        """Return the box that stands for a node."""
        return next((shape for shape in self.shapes if index in shape.nodes), None)


@dataclasses.dataclass(slots=True)
class _Item:
    """A box in the making: with members if it is opened."""

    shape: Shape
    members: list["_Item"] = dataclasses.field(default_factory=list)
    path: Path = ()


def draw(graph: Graph, changed: Set[str] = frozenset()) -> Drawing:
    """Return the picture; `changed` are the ids of the boxes that are not opened or shut as they are at first."""
    groups = _Groups(graph, changed)
    top = groups.items()
    bundled = _count(top) > MOST
    if bundled:
        top = _bundles(graph, top)
    return _Sheet(graph, top).drawing(bundled=bundled, groups=len(groups.ids))


def _count(items: Iterable[_Item]) -> int:
    return sum(1 + _count(item.members) for item in items)


class _Groups:
    """The boxes that nodes lie in, each opened or shut."""

    def __init__(self, graph: Graph, changed: Set[str]) -> None:
        self.graph = graph
        self.inside: dict[Path, list[int]] = defaultdict(list)
        for node in graph.nodes:
            for depth in range(1, len(node.group) + 1):
                self.inside[tuple(node.group[:depth])].append(node.index)
        self.ids = {path: f"g{number}" for number, path in enumerate(self.inside)}
        self.shut = {path for path in self.inside if self._is_shut(path) != (self.ids[path] in changed)}

    def _is_shut(self, path: Path) -> bool:
        return len(self.graph.nodes) > MANY and len(self.inside[path]) > FEW

    def items(self) -> list[_Item]:
        """Return what lies in no box, and the outermost boxes."""
        return self._within((), range(len(self.graph.nodes)))

    def _within(self, path: Path, indexes: Iterable[int]) -> list[_Item]:
        found: list[_Item] = []
        boxes: dict[Path, list[int]] = {}
        for index in indexes:
            group = self.graph.nodes[index].group
            if len(group) == len(path):
                found.append(_Item(_shape(self.graph, self.graph.nodes[index])))
                continue
            inner = tuple(group[: len(path) + 1])
            if inner not in boxes:
                boxes[inner] = []
                found.append(_Item(self._box(inner), path=inner))
            boxes[inner].append(index)
        for item in found:
            if item.path and item.path not in self.shut:
                item.members = self._within(item.path, boxes[item.path])
        return self._convex(found, path)

    def _box(self, path: Path) -> Shape:
        kind = "group" if path in self.shut else "frame"
        return Shape(self.ids[path], path[-1], tuple(self.inside[path]), kind)

    def _convex(self, items: list[_Item], path: Path) -> list[_Item]:
        """Open without a frame the boxes through which a path runs that leaves them and comes back."""
        while broken := [item for item in _on_circles(self.graph, items) if item.path]:
            ids = {id(item) for item in broken}
            opened = []
            for item in items:
                if id(item) in ids:
                    opened += item.members or self._within(item.path, item.shape.nodes)
                else:
                    opened.append(item)
            items = opened
        return items


def _shape(graph: Graph, node: Node) -> Shape:
    hint = ""
    if node.index == graph.on_failure:
        hint = "if something failed"
    elif node.index == graph.finalizer:
        hint = "at the very end"
    return Shape(f"n{node.index}", node.title, (node.index,), str(node.kind), hint=hint)


def _pairs(graph: Graph, items: Sequence[_Item]) -> dict[tuple[int, int], set[When]]:
    """Return the edges between items, by their places in the list, each with its conditions."""
    owner = {index: at for at, item in enumerate(items) for index in item.shape.nodes}
    found: dict[tuple[int, int], set[When]] = defaultdict(set)
    for at, item in enumerate(items):
        for index in item.shape.nodes:
            for parent, when in graph.nodes[index].parents:
                before = owner.get(parent, at)
                if before != at:
                    found[before, at].add(when)
    return found


def _on_circles(graph: Graph, items: Sequence[_Item]) -> list[_Item]:
    """Return the items that lie on a circle, or between two: a box that a path leaves and enters again makes one."""
    if not any(item.path for item in items):
        return []
    alive = set(range(len(items)))
    pairs = list(_pairs(graph, items))
    _peel(alive, pairs)  # what nothing on a circle leads to
    _peel(alive, [(b, a) for a, b in pairs])  # and what leads to none
    return [items[at] for at in sorted(alive)]


def _peel(alive: set[int], pairs: Iterable[tuple[int, int]]) -> None:
    """Take away, one after the other, what nothing that is left leads to."""
    after: dict[int, list[int]] = defaultdict(list)
    waits = dict.fromkeys(alive, 0)
    for a, b in pairs:
        if a in alive and b in alive:
            after[a].append(b)
            waits[b] += 1
    ready = [at for at, count in waits.items() if not count]
    while ready:
        at = ready.pop()
        alive.discard(at)
        for child in after[at]:
            waits[child] -= 1
            if not waits[child]:
                ready.append(child)


def _bundles(graph: Graph, items: list[_Item]) -> list[_Item]:
    """Put together what is alike: first whole boxes, then the nodes of one step and one task, then whole steps."""
    flat = [
        _Item(dataclasses.replace(item.shape, kind="group"), path=item.path) if item.members else item for item in items
    ]
    if _on_circles(graph, flat):
        flat = [_Item(_shape(graph, node)) for node in graph.nodes]
    if len(flat) <= MOST:
        return flat
    ranks = ranks_of(len(flat), list(_pairs(graph, flat)), pull=False)
    alike: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for at, item in enumerate(flat):
        node = graph.nodes[item.shape.index]
        single = item.shape.kind in {"group", Kind.APPROVAL, Kind.EVENT} or item.shape.index in graph.handlers
        alike[(at,) if single else (ranks[at], node.task, str(node.kind))].append(at)
    if len(alike) > MOST:
        wide = -(-(max(ranks) + 1) // STEPS)
        alike = defaultdict(list)
        for at, item in enumerate(flat):
            alike[(at,) if item.shape.index in graph.handlers else (0, ranks[at] // wide)].append(at)
    return [_bundle(graph, [flat[at] for at in found], number) for number, found in enumerate(alike.values())]


def _bundle(graph: Graph, items: list[_Item], number: int) -> _Item:
    if len(items) == 1:
        return items[0]
    nodes = tuple(index for item in items for index in item.shape.nodes)
    keys = [item.shape.label for item in (items[0], items[-1])]
    return _Item(Shape(f"b{number}", " … ".join(keys), nodes, "bundle"))


class _Sheet:
    """Lays boxes out inside their boxes, from the innermost outwards."""

    def __init__(self, graph: Graph, top: list[_Item]) -> None:
        self.graph = graph
        self.top = top
        self.shapes: list[Shape] = []
        self.frames: list[Shape] = []
        self.lines: list[Line] = []

    def drawing(self, *, bundled: bool, groups: int) -> Drawing:
        """Return the picture."""
        inner = _Inner(_Edges(self.graph), self.top, handlers=self.graph.handlers)
        inner.put(self, MARGIN, MARGIN)
        self._link()
        width, height = inner.layout.width + 2 * MARGIN, inner.layout.height + 2 * MARGIN
        return Drawing(self.shapes, self.frames, self.lines, width, height, bundled, groups)

    def _link(self) -> None:
        """Record at each box which boxes wait for it."""
        owner = {index: shape for shape in self.shapes for index in shape.nodes}
        for node in self.graph.nodes:
            for parent, _ in node.parents:
                before, after = owner[parent], owner[node.index]
                if before is not after and after.id not in before.to:
                    before.to.append(after.id)


class _Edges:
    """The edges of the graph from both their ends."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.children = graph.children()

    def touching(self, index: int) -> Iterable[tuple[int, int, When]]:
        """Yield the edges of a node: from, to, condition."""
        for parent, when in self.graph.nodes[index].parents:
            yield parent, index, when
        for child, when in self.children[index]:
            yield index, child, when


class _Inner:
    """The inside of one box: its members, and ports where edges come in and go out, one for each condition."""

    def __init__(self, edges: _Edges, items: list[_Item], handlers: Set[int] = frozenset()) -> None:
        self.items = items
        self.inner = [_Inner(edges, item.members) if item.members else None for item in items]
        for item, inside in zip(items, self.inner, strict=True):
            if inside is not None:
                item.shape.width = inside.layout.width + 2 * SIDE
                item.shape.height = inside.layout.height + TOP + BOTTOM
        self.ports: dict[tuple[str, When], int] = {}
        self.links: dict[tuple[int, int, When], Link] = {}
        self._join(edges)
        boxes = [Box(item.shape.width, item.shape.height) for item in items] + [Box(0.0, 0.0)] * len(self.ports)
        ways = {way: {at for (side, _), at in self.ports.items() if side == way} for way in ("in", "out")}
        last = ways["out"] | {
            at for at, item in enumerate(items) if item.shape.nodes[0] in handlers and not item.members
        }
        self.layout: Layout = layered(boxes, list(self.links.values()), ways["in"], last)

    def _join(self, edges: _Edges) -> None:
        owner = {index: at for at, item in enumerate(self.items) for index in item.shape.nodes}
        for index in sorted(owner):
            for parent, child, when in edges.touching(index):
                before, after = owner.get(parent), owner.get(child)
                if before == after:
                    continue
                a = self._port("in", when) if before is None else before
                b = self._port("out", when) if after is None else after
                if (a, b, when) not in self.links:
                    self.links[a, b, when] = Link(a, b, self._at(a, "out", when), self._at(b, "in", when))

    def _port(self, way: str, when: When) -> int:
        return self.ports.setdefault((way, when), len(self.items) + len(self.ports))

    def _at(self, at: int, way: str, when: When) -> float:
        """Return how far below the top of a member an edge is fixed."""
        if at >= len(self.items):
            return 0.0
        inside = self.inner[at]
        if inside is None:
            return self.items[at].shape.height / 2
        return TOP + inside.layout.places[inside.ports[way, when]][1]

    def put(self, sheet: _Sheet, x: float, y: float) -> None:
        """Put everything onto the sheet, its upper left corner there."""
        for item, inside, (left, top) in zip(self.items, self.inner, self.layout.places, strict=False):
            item.shape.x, item.shape.y = x + left, y + top
            if inside is None:
                sheet.shapes.append(item.shape)
            else:
                sheet.frames.append(item.shape)
                inside.put(sheet, item.shape.x + SIDE, item.shape.y + TOP)
        for (a, b, when), route in zip(self.links, self.layout.routes, strict=True):
            points = [(x + px, y + py) for px, py in route]
            if a >= len(self.items):  # from the frame's own side
                points[0] = (x - SIDE, points[0][1])
            if b >= len(self.items):
                points[-1] = (x + self.layout.width + SIDE, points[-1][1])
            ends = b < len(self.items) and self.inner[b] is None
            sheet.lines.append(Line(when, points, ends))

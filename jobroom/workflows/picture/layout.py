"""Places the boxes of a graph: layers from left to right, as Sugiyama, Tagawa and Toda describe it (1981).

Each box stands right of all that it waits for. Ranks come from longest paths, the order within a rank from barycentres,
heights from isotonic regression (pool adjacent violators), which never lets two boxes overlap. The same input gives the
same picture. Nothing here knows what the boxes mean.
"""

import dataclasses
from collections import deque
from collections.abc import Collection, Sequence
from typing import NamedTuple

# Between two ranks, and between two boxes of one rank.
GAP_X = 56.0
GAP_Y = 16.0
# What a long edge takes up in the ranks that it crosses.
LANE = 10.0
# Long edges are led around the boxes as long as that costs at most so many corners for each box, and some.
CORNERS = 3
SOME_CORNERS = 1000
SWEEPS = 4

Point = tuple[float, float]


class Box(NamedTuple):
    """A box before it has a place."""

    width: float
    height: float


class Link(NamedTuple):
    """An edge: from the right side of one box, `out` below its top, to the left side of another, `into` below its top."""

    a: int
    b: int
    out: float
    into: float


@dataclasses.dataclass(slots=True)
class Layout:
    """The corners at the upper left of all boxes, and the corners of all edges, in the order in which they were given."""

    places: list[Point]
    routes: list[list[Point]]
    width: float
    height: float
    ranks: list[int]


def ranks_of(count: int, pairs: Sequence[tuple[int, int]], *, pull: bool = True) -> list[int]:
    """Return how many steps each box stands behind the first ones; raise ValueError if the edges form a circle.

    `pull`: boxes that wait for nothing stand right before what waits for them.
    """
    after: list[list[int]] = [[] for _ in range(count)]
    waits = [0] * count
    for a, b in pairs:
        after[a].append(b)
        waits[b] += 1
    sources = [index for index in range(count) if not waits[index]]
    ranks, ready, seen = [0] * count, deque(sources), 0
    while ready:
        index = ready.popleft()
        seen += 1
        for child in after[index]:
            ranks[child] = max(ranks[child], ranks[index] + 1)
            waits[child] -= 1
            if not waits[child]:
                ready.append(child)
    if seen < count:
        raise ValueError("The edges form a circle.")
    for index in sources if pull else ():
        if after[index]:
            ranks[index] = min(ranks[child] for child in after[index]) - 1
    return ranks


def layered(
    boxes: Sequence[Box], links: Sequence[Link], first: Collection[int] = (), last: Collection[int] = ()
) -> Layout:
    """Return places for all boxes; `first` stand left of everything, `last` right of it. Raises ValueError on circles."""
    if not boxes:
        return Layout([], [], 0.0, 0.0, [])
    ranks = _ranks(len(boxes), links, first, last)
    lanes = _Lanes(boxes, links, ranks)
    order = lanes.ordered()
    tops = lanes.heights(order)
    lefts, width = _columns(boxes, ranks)
    low = min(tops)
    tops = [top - low for top in tops]
    height = max(top + lanes.tall[index] for index, top in enumerate(tops))
    places = [(lefts[ranks[index]], tops[index]) for index in range(len(boxes))]
    routes = [
        [
            (places[link.a][0] + boxes[link.a].width, places[link.a][1] + link.out),
            *(corner for lane in lanes.of[number] for corner in _along(lanes.rank[lane], tops[lane], lefts)),
            (places[link.b][0], places[link.b][1] + link.into),
        ]
        for number, link in enumerate(links)
    ]
    return Layout(places, routes, width, height, ranks)


def _ranks(count: int, links: Sequence[Link], first: Collection[int], last: Collection[int]) -> list[int]:
    ranks = ranks_of(count, [(link.a, link.b) for link in links])
    if first:
        ranks = [0 if index in first else rank + 1 for index, rank in enumerate(ranks)]
    if last:
        end = 1 + max((rank for index, rank in enumerate(ranks) if index not in last), default=-1)
        ranks = [end if index in last else rank for index, rank in enumerate(ranks)]
    used = {rank: number for number, rank in enumerate(sorted(set(ranks)))}
    return [used[rank] for rank in ranks]


def _columns(boxes: Sequence[Box], ranks: Sequence[int]) -> tuple[list[float], float]:
    """Return the left side of each rank, and the width of all."""
    wide = [0.0] * (max(ranks) + 1)
    for box, rank in zip(boxes, ranks, strict=True):
        wide[rank] = max(wide[rank], box.width)
    lefts, x = [], 0.0
    for width in wide:
        lefts.append(x)
        x += width + GAP_X
    return lefts, x - GAP_X


def _along(rank: int, top: float, lefts: Sequence[float]) -> tuple[Point, Point]:
    """Return both ends of a lane."""
    return (lefts[rank], top + LANE / 2), (lefts[rank + 1] - GAP_X, top + LANE / 2)


class _Lanes:
    """The boxes and, where edges cross ranks, the lanes that are kept free for them."""

    def __init__(self, boxes: Sequence[Box], links: Sequence[Link], ranks: Sequence[int]) -> None:
        self.rank = list(ranks)
        self.tall = [box.height for box in boxes]
        self.of: list[list[int]] = []  # of each edge, from left to right
        # Neighbours to the left and to the right: (box or lane, where the edge ends there, where it ends here).
        self.left: list[list[tuple[int, float, float]]] = [[] for _ in boxes]
        self.right: list[list[tuple[int, float, float]]] = [[] for _ in boxes]
        longest = self._longest(links, len(boxes))
        for link in links:
            self.of.append(self._lane(link, longest))

    def _longest(self, links: Sequence[Link], count: int) -> int:
        """Return how many ranks an edge may cross to be led around the boxes between."""
        spans = sorted(self.rank[link.b] - self.rank[link.a] - 1 for link in links)
        budget, longest = CORNERS * count + SOME_CORNERS, 0
        for span in spans:
            budget -= span
            if budget < 0:
                return longest
            longest = span
        return longest

    def _lane(self, link: Link, longest: int) -> list[int]:
        span = self.rank[link.b] - self.rank[link.a] - 1
        made: list[int] = []
        if span > longest:
            return made
        before, out = link.a, link.out
        for rank in range(self.rank[link.a] + 1, self.rank[link.b]):
            lane = len(self.rank)
            self.rank.append(rank)
            self.tall.append(LANE)
            self.left.append([])
            self.right.append([])
            self._join(before, lane, out, LANE / 2)
            made.append(lane)
            before, out = lane, LANE / 2
        self._join(before, link.b, out, link.into)
        return made

    def _join(self, a: int, b: int, out: float, into: float) -> None:
        self.right[a].append((b, into, out))
        self.left[b].append((a, out, into))

    def ordered(self) -> list[list[int]]:
        """Return for each rank what stands in it, from top to bottom: few edges cross."""
        layers: list[list[int]] = [[] for _ in range(max(self.rank) + 1)]
        for index in self._walk():
            layers[self.rank[index]].append(index)
        place = [0.0] * len(self.rank)
        _number(layers, place)
        for sweep in range(SWEEPS):
            forward = sweep % 2 == 0
            for layer in layers if forward else reversed(layers):
                sides = self.left if forward else self.right
                _sort(layer, sides, place)
        return layers

    def _walk(self) -> list[int]:
        """Return everything in the order in which a walk along the edges meets it: families stay together."""
        found, seen = [], [False] * len(self.rank)
        starts = [index for index in range(len(self.rank)) if not self.left[index]]
        for start in starts:
            stack = [start]
            while stack:
                index = stack.pop()
                if seen[index]:
                    continue
                seen[index] = True
                found.append(index)
                stack.extend(child for child, _, _ in reversed(self.right[index]) if not seen[child])
        return found

    def heights(self, layers: list[list[int]]) -> list[float]:
        """Return the upper side of everything."""
        tops = [0.0] * len(self.rank)
        for layer in layers:
            y = 0.0
            for index in layer:
                tops[index] = y
                y += self.tall[index] + GAP_Y
            middle = (y - GAP_Y) / 2
            for index in layer:
                tops[index] -= middle
        for sweep in range(SWEEPS + 1):
            forward = sweep % 2 == 0
            sides = self.left if forward else self.right
            for layer in layers if forward else reversed(layers):
                self._level(layer, sides, tops)
        return tops

    def _level(self, layer: list[int], sides: list[list[tuple[int, float, float]]], tops: list[float]) -> None:
        """Move a rank to where its neighbours are, as near as its order and the gaps allow."""
        wanted, offsets, weights, y = [], [], [], 0.0
        for index in layer:
            near = sides[index]
            wish = sum(tops[other] + there - here for other, there, here in near) / len(near) if near else tops[index]
            wanted.append(wish - y)
            offsets.append(y)
            # A lane is kept straight rather than a box is moved: bends of long edges cost the reader most.
            weights.append(1.0 + len(near) if near else 0.25)
            y += self.tall[index] + GAP_Y
        for index, at, offset in zip(layer, _rising(wanted, weights), offsets, strict=True):
            tops[index] = at + offset


def _number(layers: list[list[int]], place: list[float]) -> None:
    for layer in layers:
        for at, index in enumerate(layer):
            place[index] = float(at)


def _sort(layer: list[int], sides: list[list[tuple[int, float, float]]], place: list[float]) -> None:
    """Order a rank by the mean place of the neighbours; what has none keeps its own."""
    means = {}
    for index in layer:
        near = sides[index]
        means[index] = sum(place[other] for other, _, _ in near) / len(near) if near else place[index]
    layer.sort(key=lambda index: (means[index], place[index]))
    for at, index in enumerate(layer):
        place[index] = float(at)


def _rising(wanted: Sequence[float], weights: Sequence[float]) -> list[float]:
    """Return the numbers nearest to `wanted` (least weighted squares) that never fall: pool adjacent violators."""
    pools: list[tuple[float, float, int]] = []  # mean, weight, how many
    for value, weight in zip(wanted, weights, strict=True):
        mean, heavy, many = value, weight, 1
        while pools and pools[-1][0] > mean:
            other, more, count = pools.pop()
            mean = (mean * heavy + other * more) / (heavy + more)
            heavy, many = heavy + more, many + count
        pools.append((mean, heavy, many))
    return [mean for mean, _, many in pools for _ in range(many)]

"""Renders the picture of a graph with the states of its nodes as SVG."""

import dataclasses
import json
from collections.abc import Mapping, Set
from typing import Any
from urllib.parse import urlencode

from jobroom.jobs.number_formats import percent
from jobroom.workflows.engine.keys import ENDED, NodeState
from jobroom.workflows.explanations import LOOKS, ORDER, Look
from jobroom.workflows.graph import Graph, Kind, When
from jobroom.workflows.models import StoredWorkflow
from jobroom.workflows.picture.shapes import Drawing, Shape, draw
from jobroom.workflows.progress import Now

# Characters of a box's first line; the whole text is in its title.
LINE = 21
# Inside of a box where its bar begins, and how long it is.
BAR_X, BAR_WIDTH = 10.0, 180.0
# Edges up to this number are drawn with arrows, and their conditions with words.
ARROWS = 600
# The state of what stands for several nodes is the first of these that one of them has.
BY_IMPORTANCE = "flarxqhwcbsk"

SEVERAL = frozenset({"group", "bundle", "frame"})

Piece = tuple[str, str, str]  # class, x, width


@dataclasses.dataclass(slots=True)
class Painted:
    """One box as it looks now."""

    shape: Shape
    node_state: str
    word: str
    bar: list[Piece]
    several: bool  # whether it stands for several nodes
    ranges: str  # the nodes that it stands for: "3-17,20"
    key: str  # of a node
    href: str  # where a click on it leads

    @property
    def look(self) -> Look:
        """Word, icon and class of its state."""
        return LOOKS[self.node_state]

    @property
    def line(self) -> str:
        """The first line, cut to the box."""
        label = self.shape.label
        return label if len(label) <= LINE else f"{label[: LINE - 1]}…"

    @property
    def title(self) -> str:
        """What shows when a pointer rests on it, and what a screen reader says."""
        return f"{self.shape.label}: {self.word}"

    @property
    def to(self) -> str:
        """The boxes that wait for it."""
        return " ".join(self.shape.to)


def paint(drawing: Drawing, now: Now, toggled: Set[str] = frozenset()) -> list[Painted]:
    """Return all boxes as they look now; `toggled` are those that are opened or shut other than at first."""
    shapes = [*drawing.frames, *drawing.shapes]
    return [_several(shape, now, toggled) if shape.kind in SEVERAL else _one(shape, now, toggled) for shape in shapes]


def picture(drawing: Drawing, now: Now, toggled: Set[str] = frozenset()) -> dict[str, Any]:
    """Return what the template of the picture is given."""
    lines = {when: [line for line in drawing.lines if line.when == when] for when in When}
    return {
        "drawing": drawing,
        "painted": paint(drawing, now, toggled),
        "lines": [(when, when.name.lower(), lines[when]) for when in When],
        "arrows": len(drawing.lines) <= ARROWS,
        "looks": json.dumps({node_state: [look.word, look.icon, look.css] for node_state, look in LOOKS.items()}),
        "by_importance": BY_IMPORTANCE,
        "order": ORDER,
    }


def preview(graph: Graph) -> dict[str, Any]:
    """Return the picture of a graph that was not launched: its boxes lead nowhere."""
    now = Now(StoredWorkflow(total=len(graph.nodes)), graph, NodeState.WAITING * len(graph.nodes), {}, {}, {})
    found = picture(draw(graph, frozenset()), now)
    for box in found["painted"]:
        box.href = ""
    return {**found, "node_count": len(graph.nodes)}


def _several(shape: Shape, now: Now, toggled: Set[str]) -> Painted:
    counts = now.counts(shape.nodes)
    node_state = next(node_state for node_state in BY_IMPORTANCE if counts.get(node_state))
    done = sum(number for one, number in counts.items() if one in ENDED)
    word = f"{done:,} of {len(shape.nodes):,} ended"
    bar, stands_for = [] if shape.kind == "frame" else pieces(counts), ranges(shape.nodes)
    href = f"?tab=nodes&only={stands_for}" if shape.kind == "bundle" else f"?{_query(toggled ^ {shape.id})}"
    return Painted(shape, node_state, word, bar, True, stands_for, "", href)


def _one(shape: Shape, now: Now, toggled: Set[str]) -> Painted:
    node_state, key = now.node_states[shape.index], now.graph.nodes[shape.index].key
    href = f"?{_query(toggled, node=key)}"
    return Painted(
        shape,
        node_state,
        _word(shape, node_state, now),
        _bar(shape, node_state, now),
        False,
        str(shape.index),
        key,
        href,
    )


def _query(toggled: Set[str], **more: str) -> str:
    ids = ".".join(sorted(toggled, key=lambda one: int(one[1:])))
    return urlencode({**({"toggle": ids} if ids else {}), **more})


def _word(shape: Shape, node_state: str, now: Now) -> str:
    """Return the second line of a node: its state, and how far it is."""
    word = LOOKS[node_state].word
    items = now.items.get(shape.index)
    if shape.kind == Kind.FAN_OUT and items is not None:
        return f"{word} · {items.ended:,} of {items.total:,}"
    if node_state == NodeState.RUNNING and shape.index in now.running:
        return f"{word} · {percent(now.running[shape.index])}"
    return f"{word} · {shape.hint}" if shape.hint and node_state == NodeState.WAITING else word


def _bar(shape: Shape, node_state: str, now: Now) -> list[Piece]:
    items = now.items.get(shape.index)
    if shape.kind == Kind.FAN_OUT and items is not None:
        rest = items.total - items.ended
        return pieces(
            {NodeState.SUCCEEDED: items.ended - items.bad, NodeState.FAILED: items.bad, NodeState.WAITING: rest}
        )
    if node_state == NodeState.RUNNING and shape.index in now.running:
        share = now.running[shape.index]
        return [("running", f"{BAR_X:g}", f"{BAR_WIDTH * share:.1f}")]
    return []


def pieces(counts: Mapping[str, int]) -> list[Piece]:
    """Return the pieces of a bar."""
    total, x, found = sum(counts.values()), BAR_X, []
    for node_state in ORDER:
        width = BAR_WIDTH * counts.get(node_state, 0) / total if total else 0.0
        if width:
            found.append((LOOKS[node_state].css, f"{x:.1f}", f"{width:.1f}"))
            x += width
    return found


def ranges(nodes: tuple[int, ...]) -> str:
    """Return numbers as a short text: “3-17,20”."""
    parts: list[list[int]] = []
    for index in sorted(nodes):
        if parts and parts[-1][1] == index - 1:
            parts[-1][1] = index
        else:
            parts.append([index, index])
    return ",".join(f"{a}-{b}" if b > a else str(a) for a, b in parts)


def numbers(text: str, most: int) -> list[int]:
    """Return what `ranges` wrote, without numbers from `most` on; what makes no sense is left out."""
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        if first.isdecimal() and (last or first).isdecimal():
            found.update(range(min(int(first), most), min(int(last or first) + 1, most)))
    return sorted(found)

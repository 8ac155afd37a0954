"""The tabs of a workflow's page."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest
from django.utils import timezone

from jobroom.web.cursors import number
from jobroom.workflows import explanations, progress
from jobroom.workflows.engine.keys import NodeState
from jobroom.workflows.explanations import LOOKS
from jobroom.workflows.graph import Node
from jobroom.workflows.models import StoredWorkflow
from jobroom.workflows.picture import svg
from jobroom.workflows.progress import Now, Span
from jobroom.workflows.views.lookup import person

# Nodes on a page of the table and of the grid, runs in the grid, bars in the timeline, events.
NODES, ROWS, RUNS, BARS, EVENTS = 100, 200, 20, 2000, 100
# Width of the timeline in its own units.
WIDE = 1000.0
SLIVER = 3.0


# --- graph -----------------------------------------------------------------------------------------------------------


def graph(request: HttpRequest, now: Now) -> dict[str, Any]:
    """Return the picture; `toggle` names the boxes that are opened or shut other than at first."""
    toggled = _toggled(request)
    return svg.picture(progress.drawing_of(now.stored, toggled), now, toggled)


def _toggled(request: HttpRequest) -> frozenset[str]:
    parts = request.GET.get("toggle", "")[:2000].split(".")
    return frozenset(part for part in parts if part[:1] == "g" and part[1:].isdecimal())


# --- timeline --------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class Bar:
    """One node on the time axis, in units of its width."""

    node: Node
    node_state: str
    waiting_x: str
    waiting_width: str
    x: str
    width: str
    waited: timedelta | None
    ran: timedelta | None


def timeline(request: HttpRequest, now: Now) -> dict[str, Any]:
    """Return a bar for each node that was sent, by when it was, and the marks of the axis."""
    found = progress.spans(now.stored, len(now.graph.nodes))
    moment = timezone.now()
    begin = now.stored.started_at or now.stored.created_at
    for span in found.values():
        begin = min(begin, span.queued or begin)
    end = now.stored.finished_at or moment
    for span in found.values():
        end = max(end, span.finished or end)
    whole = max((end - begin).total_seconds(), 0.001)
    shown = sorted(found.values(), key=lambda span: (span.started or span.queued or end, span.index))
    bars = [_bar(now, span, begin, whole, end) for span in shown[:BARS]]
    return {
        "bars": bars,
        "ticks": _ticks(whole),
        "bars_left_out": max(0, len(shown) - BARS),
        "unsent": sum(node_state in {NodeState.WAITING, NodeState.HELD} for node_state in now.node_states),
    }


def _bar(now: Now, span: Span, begin: datetime, whole: float, end: datetime) -> Bar:
    def at(moment: datetime) -> float:
        return WIDE * min(1.0, max(0.0, (moment - begin).total_seconds() / whole))

    queued = span.queued or span.started or begin
    started = span.started or span.finished or end
    finished = (span.finished or end) if span.started else started
    # The shortest node can be seen, also at the very end.
    width = max(SLIVER, at(finished) - at(started)) if span.started else 0.0
    x = min(at(started), WIDE - width)
    return Bar(
        node=now.graph.nodes[span.index],
        node_state=now.node_states[span.index],
        waiting_x=f"{at(queued):.1f}",
        waiting_width=f"{max(0.0, x - at(queued)):.1f}",
        x=f"{x:.1f}",
        width=f"{width:.1f}",
        waited=max(started - queued, timedelta()),
        ran=max(finished - started, timedelta()) if span.started else None,
    )


def _ticks(whole: float) -> list[tuple[str, str, str]]:
    """Return four to eight marks of the time axis: their place in percent, the time since the beginning, and their class.

    Where the axis is short, every other one is left out; one at the end stands before its place.
    """
    steps = [m * 10**e for e in range(-3, 8) for m in (1, 2, 5)] + [60 * m for m in (1, 2, 5, 10, 15, 30)]
    steps += [3600 * m for m in (1, 2, 3, 6, 12, 24, 48)]
    step = min((s for s in steps if whole / s <= 8), default=whole)
    places = [(n, 100 * n * step / whole) for n in range(int(whole / step) + 1)]
    return [(f"{x:.2f}%", _clock(n * step), f"tick{'-odd' * (n % 2)}{' tick-end' * (x > 88)}") for n, x in places]


def _clock(seconds: float) -> str:
    if seconds < 1 and seconds:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 90:
        return f"{seconds:g} s"
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


# --- grid ------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One node over the runs: of each run its state, empty where that run has no such node."""

    key: str
    title: str
    cells: list[tuple[str, StoredWorkflow]]


def grid(request: HttpRequest, now: Now) -> dict[str, Any]:
    """Return the latest runs of the same name as columns, the oldest first, and this one's nodes as rows."""
    runs = _runs(request, now.stored)
    indexes = [_indexes(now, run) for run in runs]
    page = Paginator(now.graph.nodes, ROWS).get_page(number(request.GET, "rows"))
    rows = [
        Row(
            node.key,
            node.title,
            [(_node_state(run, found.get(node.key)), run) for run, found in zip(runs, indexes, strict=True)],
        )
        for node in page.object_list
    ]
    shown = Counter(node_state for row in rows for node_state, _ in row.cells if node_state)
    legend = ", ".join(
        f"{node_state.upper()} {look.word.lower()}" for node_state, look in LOOKS.items() if shown[node_state]
    )
    return {"runs": runs, "rows": rows, "row_page": page, "states_legend": legend}


def _runs(request: HttpRequest, stored: StoredWorkflow) -> Sequence[StoredWorkflow]:
    visible = StoredWorkflow.objects.visible_to(person(request)).defer("graph", "payload", "result", "custom_payload")
    same = visible.filter(name=stored.name).newest_first()
    if not stored.name:
        same = same.filter(pk=stored.pk)
    found = list(same[:RUNS])
    if stored.pk not in {run.pk for run in found}:
        found.append(stored)
    return sorted(found, key=lambda run: (run.created_at, run.pk))


def _indexes(now: Now, run: StoredWorkflow) -> dict[str, int]:
    """Return the nodes of a run by their keys."""
    nodes = now.graph.nodes if run.pk == now.stored.pk else progress.graph_of(run).nodes
    return {node.key: node.index for node in nodes}


def _node_state(run: StoredWorkflow, index: int | None) -> str:
    return "" if index is None else run.node_states[index : index + 1] or NodeState.WAITING


# --- nodes -----------------------------------------------------------------------------------------------------------


def nodes(request: HttpRequest, now: Now) -> dict[str, Any]:
    """Return a page of the nodes, by state and text."""
    chosen, text = request.GET.get("state", ""), request.GET.get("q", "").strip()[:200]
    chosen, only = chosen if chosen in LOOKS else "", request.GET.get("only", "")[:20_000]
    among = svg.numbers(only, len(now.graph.nodes)) if only else range(len(now.graph.nodes))
    found = [
        node
        for node in (now.graph.nodes[index] for index in among)
        if (not chosen or now.node_states[node.index] == chosen)
        and (not text or text.lower() in f"{node.key} {node.label} {node.task}".lower())
    ]
    page = Paginator(found, NODES).get_page(number(request.GET, "page"))
    shown = [str(node.index) for node in page.object_list]
    jobs = {job.node: job for job in progress.jobs_of(now.stored).filter(node__in=shown).without_bulk()}
    rows = [
        (
            node,
            now.node_states[node.index],
            explanations.waits(now.stored, now.graph, now.node_states, node),
            jobs.get(str(node.index)),
            now.items.get(node.index),
        )
        for node in page.object_list
    ]
    numbers = Counter(now.node_states)
    choices = [
        (node_state, look, numbers[node_state])
        for node_state, look in LOOKS.items()
        if numbers[node_state] or node_state == chosen
    ]
    return {
        "node_rows": rows,
        "node_page": page,
        "node_state": chosen,
        "node_text": text,
        "node_choices": choices,
        "only": only,
    }


# --- result and events -----------------------------------------------------------------------------------------------


def result(request: HttpRequest, now: Now) -> dict[str, Any]:
    """Return what happened, the newest first, in sentences."""
    stored = now.stored
    found: list[tuple[datetime, str, str]] = [(stored.created_at, "", _launched(stored))]
    if stored.finished_at:
        word = explanations.STATES[stored.state].word.lower()
        found.append((stored.finished_at, "", f"The workflow ended: {word}."))
    if stored.cancel_at:
        found.append((stored.cancel_at, "", f"{stored.cancel_by} asked to cancel it."))
    for name, decision in stored.decisions.items():
        found.append((datetime.fromisoformat(decision["at"]), _key(now, name), _decided(decision)))
    jobs = progress.jobs_of(stored).filter(finished_at__isnull=False).order_by("-finished_at")
    for job in jobs.only("node", "state", "finished_at", "started_at", "error")[:EVENTS]:
        error = f": {job.error[:160]}" if job.error else ""
        found.append((job.finished_at or stored.created_at, _key(now, job.node), f"{job.get_state_display()}{error}"))
    return {"events": sorted(found, reverse=True)[:EVENTS], "reruns": _reruns(request, stored)}


def _launched(stored: StoredWorkflow) -> str:
    who = f" by {stored.owner}" if stored.owner else ""
    return f"Launched{who} from {stored.schedule or stored.source or 'code'}."


def _decided(decision: dict[str, Any]) -> str:
    word = "approved" if decision.get("approved") else "denied"
    return f"{decision.get('by')} {word} it{': ' + decision['comment'] if decision.get('comment') else ''}."


def _key(now: Now, name: str) -> str:
    head, _, item = name.partition(".")
    known = head.isdecimal() and int(head) < len(now.graph.nodes)
    return f"{now.graph.nodes[int(head)].title}{f' [{item}]' if item else ''}" if known else name


def _reruns(request: HttpRequest, stored: StoredWorkflow) -> list[StoredWorkflow]:
    visible = StoredWorkflow.objects.visible_to(person(request)).without_bulk()
    return list(visible.filter(rerun_of=stored.pk).newest_first()[:RUNS])

"""The panel of one node beside the graph."""

from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest

from jobroom.jobs import catalogue
from jobroom.jobs.models import State as JobState
from jobroom.web.cursors import number
from jobroom.workflows import explanations, policies, progress
from jobroom.workflows.graph import Graph, Kind, Node
from jobroom.workflows.progress import Now
from jobroom.workflows.views.lookup import person

# Lines of the log, attempts, and items on a page.
LINES, ATTEMPTS, ITEMS = 20, 10, 25


def panel(request: HttpRequest, now: Now, node: Node) -> dict[str, Any]:
    """Return what is known of the node; it is open to anyone who may see the workflow."""
    stored, graph = now.stored, now.graph
    job = progress.job_of(stored, node) if node.kind == Kind.TASK else None
    args, kwargs = explanations.shown_arguments(node)
    found: dict[str, Any] = {
        "node": node,
        "from_here": node.index not in graph.handlers and not policies.why_not("resume_from", person(request), stored),
        "node_state": now.node_states[node.index],
        "what": explanations.KINDS[node.kind],
        "waits": explanations.waits(stored, graph, now.node_states, node),
        "job": job,
        "arguments": catalogue.named_arguments(job) if job else [],
        "written_args": [explanations.readable(graph, value) for value in args],
        "written_kwargs": [(name, explanations.readable(graph, value)) for name, value in kwargs.items()],
        "value": explanations.readable(graph, node.value) if node.kind == Kind.VALUE else "",
        "over": explanations.readable(graph, node.over) if node.kind == Kind.FAN_OUT else "",
        "items": now.items.get(node.index),
        **_relatives(graph, now.node_states, node),
    }
    if job is not None:
        lines = list(job.log_lines.order_by("-pk")[: LINES + 1])
        attempts = list(job.attempt_set.order_by("-number")[:ATTEMPTS])
        found |= {"log_lines": lines[LINES - 1 :: -1] if len(lines) > LINES else lines[::-1], "attempts": attempts}
    if node.kind == Kind.APPROVAL:
        may = policies.may_decide(person(request), stored, node)
        found["approval"] = explanations.approval(stored, node, may=may)
    if node.kind == Kind.EVENT:
        found["event"] = explanations.event(stored, node, now.node_states[node.index])
    if node.kind == Kind.FAN_OUT:
        found |= _items(request, now, node)
    return found


def _relatives(graph: Graph, node_states: str, node: Node) -> dict[str, Any]:
    """Return the nodes before and after, each with its state: links to walk along the graph."""
    before = [(graph.nodes[parent], node_states[parent], when) for parent, when in node.parents]
    after = [(graph.nodes[child], node_states[child], when) for child, when in graph.children()[node.index]]
    most = explanations.NAMED * 3
    return {
        "before": before[:most],
        "after": after[:most],
        "more_before": max(0, len(before) - most),
        "more_after": max(0, len(after) - most),
    }


def _items(request: HttpRequest, now: Now, node: Node) -> dict[str, Any]:
    """Return one page of the jobs of a fan-out, in one state if the address says so."""
    rows = progress.jobs_of(now.stored).filter(node__startswith=f"{node.index}.").without_bulk()
    state = request.GET.get("item_state", "")
    if state in JobState.values:
        rows = rows.filter(state=state)
    page = Paginator(rows.order_by("created_at", "pk"), ITEMS).get_page(number(request.GET, "items"))
    return {"item_page": page, "item_state": state, "item_states": JobState.choices}

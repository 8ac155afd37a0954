"""The list of workflows and the page of one, with its tabs and its parts."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.http import parse_etags
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from jobroom.jobs.filters import count
from jobroom.jobs.views.pages import freshness
from jobroom.workflows import approvals as deciding
from jobroom.workflows import explanations, forecast, page_state, policies, progress
from jobroom.workflows.engine.keys import ENDED, GOOD, NodeState
from jobroom.workflows.filters import WorkflowFilter
from jobroom.workflows.graph import Kind
from jobroom.workflows.progress import Now
from jobroom.workflows.views import panel, tabs
from jobroom.workflows.views.lookup import node_or_404, person, workflow_or_404

TABS: dict[str, tuple[str, Callable[[HttpRequest, Now], dict[str, Any]]]] = {
    "graph": ("Graph", tabs.graph),
    "timeline": ("Timeline", tabs.timeline),
    "grid": ("Grid", tabs.grid),
    "nodes": ("Nodes", tabs.nodes),
    "result": ("Result and events", tabs.result),
}
# Regions of the page that it fetches again one by one.
PARTS = frozenset({"head", "view", "panel"})
# Failed nodes that the head names.
NAMED = 5


@login_required
@never_cache
@require_safe
def workflow_list(request: HttpRequest) -> HttpResponse:
    """Show the workflows that the address asks for, and how many decisions the person could make."""
    user = person(request)
    wanted = WorkflowFilter(request.GET.dict(), user)
    context = {
        "filter": wanted,
        "total": count(wanted.matching) if wanted.rows else None,
        "decisions": len(deciding.open_to(user)),
    }
    return render(request, "jobroom/workflows/list.html", {**context, **freshness()})


@login_required
@never_cache
@require_safe
def workflow(request: HttpRequest, workflow_id: str) -> HttpResponse:
    """Show one workflow; `part` asks for one region of the page alone: head, view or panel."""
    now = progress.now_of(workflow_or_404(request, workflow_id))
    part = request.GET.get("part", "")
    part = part if part in PARTS else ""
    tab = request.GET.get("tab", "graph")
    tab = tab if tab in TABS else "graph"
    context: dict[str, Any] = {
        "workflow": now.stored,
        "now": now,
        "tab": tab,
        "tabs": [(name, title) for name, (title, _) in TABS.items()],
        "part": part,
        "key": _asked(request, now),
    }
    if part in {"", "head"}:
        context |= _head(request, now) | freshness()
    if part in {"", "view"}:
        context |= TABS[tab][1](request, now)
    if part in {"", "panel"} and context["key"]:
        context |= panel.panel(request, now, node_or_404(now.graph, context["key"]))
    template = f"jobroom/workflows/parts/{part}.html" if part else "jobroom/workflows/workflow.html"
    return render(request, template, context)


def _asked(request: HttpRequest, now: Now) -> str:
    """Return the key of the node that the address names: by `node`, its key, or by `at`, the place that jobs know."""
    at = request.GET.get("at", "").partition(".")[0]
    if at.isdecimal() and int(at[:9]) < len(now.graph.nodes):
        return now.graph.nodes[int(at[:9])].key
    return request.GET.get("node", "")[:300]


def _head(request: HttpRequest, now: Now) -> dict[str, Any]:
    stored, user = now.stored, person(request)
    bad = [node for node in now.graph.nodes if now.node_states[node.index] in ENDED - GOOD - {NodeState.BLOCKED}]
    approvals = [
        explanations.approval(stored, node, may=policies.may_decide(user, stored, node))
        for node in now.graph.nodes
        if node.kind == Kind.APPROVAL and now.node_states[node.index] == NodeState.APPROVAL
    ]
    return {
        "counts": now.counts([node.index for node in now.work]),
        "left": forecast.left(now),
        "head": page_state.head_of(now),
        "bad": bad[:NAMED],
        "more_bad": max(0, len(bad) - NAMED),
        "approvals": approvals,
        "events": [
            explanations.event(stored, node, NodeState.EVENT)
            for node in now.graph.nodes
            if now.node_states[node.index] == NodeState.EVENT
        ][:NAMED],
    }


@login_required
@never_cache
@require_safe
def states(request: HttpRequest, workflow_id: str) -> HttpResponse:
    """Answer how far the workflow has come, as JSON; 304 when the page knows that already."""
    body = json.dumps(page_state.states(progress.now_of(workflow_or_404(request, workflow_id))), separators=(",", ":"))
    tag = f'"{hashlib.sha256(body.encode()).hexdigest()[:20]}"'
    # Weak, where the answer was compressed on its way.
    if tag in {one.removeprefix("W/") for one in parse_etags(request.headers.get("If-None-Match", ""))}:
        return HttpResponse(status=304, headers={"ETag": tag})
    return HttpResponse(body, content_type="application/json", headers={"ETag": tag})


@login_required
@never_cache
@require_safe
def decisions(request: HttpRequest) -> HttpResponse:
    """Show the decisions that are waited for and that the person may make."""
    return render(
        request, "jobroom/workflows/decisions.html", {"open": deciding.open_to(person(request)), **freshness()}
    )

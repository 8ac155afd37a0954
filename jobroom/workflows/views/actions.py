"""What is done to a workflow from its page: every action is a POST that answers 303."""

import json
from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from jobroom.arguments.storable import WrongJson, parse, plain
from jobroom.limits import TooMany
from jobroom.users import User
from jobroom.web.middleware import later
from jobroom.workflows import arrivals, explanations, policies, progress, resumption, services
from jobroom.workflows.current_state import as_key
from jobroom.workflows.exceptions import NotNow, WorkflowException
from jobroom.workflows.graph import Graph, Kind, Node
from jobroom.workflows.models import StoredWorkflow
from jobroom.workflows.views.lookup import SeeOther, node_or_404, person, workflow_or_404

# Nodes whose arguments the form to run again offers.
OFFERED = 50


def _act(request: HttpRequest, workflow_id: str, action: Callable[[StoredWorkflow, User], str]) -> HttpResponse:
    stored = workflow_or_404(request, workflow_id)
    try:
        messages.success(request, action(stored, person(request)))
    except WorkflowException as error:
        messages.error(request, str(error))
    return SeeOther(stored.get_absolute_url())


@login_required
@require_POST
def pause(request: HttpRequest, workflow_id: str) -> HttpResponse:
    """Begin no more nodes."""

    def act(stored: StoredWorkflow, user: User) -> str:
        services.pause(stored, by=user)
        return "Paused: no more nodes are started. What runs or is queued goes on to its end."

    return _act(request, workflow_id, act)


@login_required
@require_POST
def unpause(request: HttpRequest, workflow_id: str) -> HttpResponse:
    """Let it go on."""

    def act(stored: StoredWorkflow, user: User) -> str:
        services.unpause(stored, by=user)
        return "It goes on."

    return _act(request, workflow_id, act)


@login_required
@require_POST
def cancel(request: HttpRequest, workflow_id: str) -> HttpResponse:
    """Ask for the end; the message says what that means for which nodes."""
    return _act(request, workflow_id, lambda stored, user: f"Cancelled. {services.cancel(stored, by=user)}")


# --- resume and run again --------------------------------------------------------------------------------------------


class Field:
    """The arguments of one node in a form: JSON that may be changed."""

    def __init__(self, node: Node, number: int, data: Any = None) -> None:
        args, kwargs = explanations.shown_arguments(node)
        self.node = node
        self.args_name, self.kwargs_name = f"args-{node.index}", f"kwargs-{node.index}"
        self.id = f"node-{number}"
        self._shown = {self.args_name: _text(args), self.kwargs_name: _text(kwargs)}
        self.args = self._given(data, self.args_name)
        self.kwargs = self._given(data, self.kwargs_name)
        self.error = ""

    def _given(self, data: Any, name: str) -> str:
        return str(data.get(name, self._shown[name])) if data is not None else self._shown[name]

    @property
    def is_changed(self) -> bool:
        """Whether someone wrote other arguments; line ends do not count."""
        return _plain(self.args) != self._shown[self.args_name] or _plain(self.kwargs) != self._shown[self.kwargs_name]

    def change(self) -> dict[str, Any]:
        """Return what was written; raise NotNow, which says where it is no JSON."""
        change: dict[str, Any] = {}
        for part, text, shown in (
            ("args", self.args, self._shown[self.args_name]),
            ("kwargs", self.kwargs, self._shown[self.kwargs_name]),
        ):
            if _plain(text) != shown:
                change[part] = _parsed(self.node, part, text)
        return change


def _text(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n").strip()


def _parsed(node: Node, part: str, text: str) -> Any:
    try:
        return parse(text)
    except WrongJson as error:
        raise NotNow(f"Of node “{node.key}”: {part} cannot be taken. {error}") from error
    except json.JSONDecodeError as error:
        message = f"Of node “{node.key}”: {part} is no JSON. Line {error.lineno}, column {error.colno}: {error.msg}."
        raise NotNow(message) from error


def _changes(fields: list[Field]) -> dict[str, dict[str, Any]]:
    """Return the changes of all nodes; raise NotNow, and say it also beside the node."""
    found: dict[str, dict[str, Any]] = {}
    for field in fields:
        if field.is_changed:
            try:
                found[field.node.key] = field.change()
            except NotNow as error:
                field.error = str(error)
                raise
    return found


def _fields(nodes: list[Node], data: Any = None) -> list[Field]:
    able = [node for node in nodes if node.kind in {Kind.TASK, Kind.FAN_OUT}]
    return [Field(node, number, data) for number, node in enumerate(able[:OFFERED])]


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def resume(request: HttpRequest, workflow_id: str) -> HttpResponse:
    """Show what would run again and what is kept, with the arguments of the nodes to change; then do it."""
    stored = workflow_or_404(request, workflow_id)
    graph = progress.graph_of(stored)
    chosen = request.GET.getlist("from")
    if reason := policies.why_not("resume_from" if chosen else "resume", person(request), stored):
        messages.error(request, reason)
        return SeeOther(stored.get_absolute_url())
    plan = resumption.resumption(stored, graph, chosen)
    fields = _fields(plan.bad, request.POST if request.method == "POST" else None)
    error: Exception | None = None
    if request.method == "POST":
        try:
            services.resume(stored, by=person(request), changes=_changes(fields), again=chosen)
        except (WorkflowException, TooMany) as wrong:
            error = wrong
        else:
            messages.success(request, _resumed(plan))
            return SeeOther(stored.get_absolute_url())
    context = {"workflow": stored, "plan": plan, "fields": fields, "error": str(error or ""), "chosen": chosen}
    return later(render(request, "jobroom/workflows/resume.html", context, status=422 if error else 200), error)


def _resumed(plan: resumption.Resumption) -> str:
    again, kept = len(plan.bad) + len(plan.following), plan.kept
    return f"It goes on: {again:,} node{'s' * (again != 1)} run, {kept:,} result{'s' * (kept != 1)} kept."


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def run_again(request: HttpRequest, workflow_id: str) -> HttpResponse:
    """Show the nodes with their arguments to change; then run the same graph as a new workflow."""
    stored = workflow_or_404(request, workflow_id)
    if reason := policies.why_not("again", person(request), stored):
        messages.error(request, reason)
        return SeeOther(stored.get_absolute_url())
    graph = progress.graph_of(stored)
    fields = _fields(_offered(graph, request.GET.get("node", "")), request.POST if request.method == "POST" else None)
    error: Exception | None = None
    if request.method == "POST":
        try:
            note = plain(request.POST.get("note", "")).strip()[:2000]
            new = services.run_again(stored, by=person(request), changes=_changes(fields), source="page", note=note)
        except (WorkflowException, TooMany) as wrong:
            error = wrong
        else:
            messages.success(request, "A new workflow with the same graph has started.")
            return SeeOther(new.get_absolute_url())
    context = {
        "workflow": stored,
        "fields": fields,
        "error": str(error or ""),
        "note": request.POST.get("note", ""),
        "all": len(graph.nodes),
    }
    return later(render(request, "jobroom/workflows/again.html", context, status=422 if error else 200), error)


def _offered(graph: Graph, key: str) -> list[Node]:
    """Return the nodes to offer: one that was asked for, and those that are given something."""
    asked = progress.node_called(graph, key)
    given = [node for node in graph.nodes if (node.args or node.kwargs) and node is not asked]
    return [asked, *given] if asked is not None else given


# --- approvals -------------------------------------------------------------------------------------------------------


@login_required
@require_POST
def decide(request: HttpRequest, workflow_id: str) -> HttpResponse:
    """Approve or deny; also for members of the node's groups, who may see the question and nothing else."""
    user = person(request)
    stored = get_object_or_404(StoredWorkflow.objects.decidable_by(user), pk=as_key(workflow_id))
    node = node_or_404(progress.graph_of(stored), request.POST.get("node", ""))
    visible = policies.may_see(user, stored)
    if not visible and not policies.may_decide(user, stored, node):
        raise Http404
    verdict = request.POST.get("verdict", "")
    try:
        if verdict not in {"approve", "deny"}:
            raise NotNow("Say approve or deny.")
        comment = plain(request.POST.get("comment", "")).strip()[:2000]
        arrivals.decide(stored, node, approve=verdict == "approve", by=user, comment=comment)
        messages.success(request, f"“{node.key}” is {'approved' if verdict == 'approve' else 'denied'}.")
    except WorkflowException as error:
        messages.error(request, str(error))
    return SeeOther(stored.get_absolute_url() if visible else reverse("jobroom:workflows:decisions"))

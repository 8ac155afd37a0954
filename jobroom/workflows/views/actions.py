"""The actions on a workflow: every one is a POST that redirects with 303."""

import dataclasses
from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from jobroom.arguments.storable import plain
from jobroom.limits import TooMany
from jobroom.users import User
from jobroom.web.error_pages import later
from jobroom.workflows import arrivals, input_changes, node_forms, policies, progress, resumption, services
from jobroom.workflows.current_state import as_key
from jobroom.workflows.exceptions import NotNow, WorkflowException, WrongFields
from jobroom.workflows.graph import Graph, Node
from jobroom.workflows.models import StoredWorkflow
from jobroom.workflows.node_forms import InputsForm, JsonForm, NodeForm
from jobroom.workflows.views.lookup import SeeOther, node_or_404, person, workflow_or_404

TO_CHANGE = "Something has to be changed before it can start: see below."


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


@dataclasses.dataclass(slots=True)
class Asked:
    """What the form of a resume or of a new run was filled in with."""

    stored: StoredWorkflow
    graph: Graph
    inputs: InputsForm | None
    nodes: list[NodeForm | JsonForm]
    wrong: Exception | None = None
    texts: list[str] = dataclasses.field(default_factory=list)

    def work(self, do: Callable[[dict[str, Any], dict[str, Any]], Any]) -> Any:
        """Call `do` with the changed nodes and inputs, and return what it returns; None where something is wrong."""
        sent = [form for form in (self.inputs, *self.nodes) if form is not None and form.is_bound]
        bad = [form for form in sent if not form.is_valid()]  # each is asked, so that all is said at once
        if bad:
            self.wrong = NotNow(TO_CHANGE)
            self.texts = [TO_CHANGE, *(form.error for form in self.nodes if isinstance(form, JsonForm) and form.error)]
            return None
        try:
            inputs = self.inputs.inputs if self.inputs is not None else {}
            return do(self._changes(inputs), inputs)
        except WrongFields as wrong:
            self.wrong, self.texts = wrong, [TO_CHANGE, *node_forms.show_errors(wrong, self.inputs, self.nodes)]
        except (WorkflowException, TooMany) as wrong:
            self.wrong, self.texts = wrong, [str(wrong)]
        return None

    def _changes(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Return the changes of nodes, made to what the new inputs give them."""
        by_inputs, _ = input_changes.applied(self.stored, self.graph, {}, inputs, None)
        found = {}
        for form in self.nodes:
            node = dataclasses.replace(form.node, **by_inputs.get(form.node.key, {}))
            if (change := form.change(node)) is not None:
                found[form.node.key] = change
        return found

    @property
    def context(self) -> dict[str, Any]:
        """What the template is given."""
        return {"workflow": self.stored, "inputs": self.inputs, "nodes": self.nodes, "errors": self.texts}


def _asked(request: HttpRequest, stored: StoredWorkflow, graph: Graph, nodes: list[Node]) -> Asked:
    data = request.POST if request.method == "POST" else None
    schema = input_changes.schema_of(stored)
    inputs = InputsForm(schema, stored.payload, person(request), data) if schema else None
    found = node_forms.forms_of(
        stored, graph, nodes, person(request), data, request.FILES if data is not None else None
    )
    return Asked(stored, graph, inputs, found)


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
    asked = _asked(request, stored, graph, plan.bad)
    if request.method == "POST":
        done = asked.work(
            lambda changes, inputs: services.resume(
                stored, by=person(request), changes=changes, inputs=inputs, again=chosen
            )
        )
        if asked.wrong is None:
            messages.success(request, _resumed(plan, done))
            return SeeOther(stored.get_absolute_url())
    context = {**asked.context, "plan": plan, "chosen": chosen}
    page = render(request, "jobroom/workflows/resume.html", context, status=422 if asked.wrong else 200)
    return later(page, asked.wrong)


def _resumed(plan: resumption.Resumption, nodes: list[Node]) -> str:
    more = len({node.index for node in nodes} - {node.index for node in (*plan.bad, *plan.following)})
    if more:
        return (
            f"It goes on. {more:,} more node{'s' * (more != 1)} run again than had failed, because of the new inputs."
        )
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
    asked = _asked(request, stored, graph, _offered(graph, request.GET.get("node", "")))
    if request.method == "POST":
        note = plain(request.POST.get("note", "")).strip()[:2000]
        new = asked.work(
            lambda changes, inputs: services.run_again(
                stored, by=person(request), changes=changes, inputs=inputs, source="page", note=note
            )
        )
        if new is not None:
            messages.success(request, "A new workflow with the same graph has started.")
            return SeeOther(new.get_absolute_url())
    context = {**asked.context, "note": request.POST.get("note", ""), "all": len(graph.nodes)}
    page = render(request, "jobroom/workflows/again.html", context, status=422 if asked.wrong else 200)
    return later(page, asked.wrong)


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

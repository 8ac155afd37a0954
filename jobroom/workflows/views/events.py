"""Events that nodes wait for: delivered from a workflow's page, or by a signed link."""

import json

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from jobroom.arguments import WrongArguments
from jobroom.arguments.storable import WrongJson, parse
from jobroom.workflows import arrivals, progress, signed_links
from jobroom.workflows.conf import settings
from jobroom.workflows.current_state import node_states_now
from jobroom.workflows.engine.keys import ENDED, NodeState
from jobroom.workflows.exceptions import NotNow, WorkflowException
from jobroom.workflows.views.lookup import SeeOther, node_or_404, person, workflow_or_404


@login_required
@require_POST
def deliver(request: HttpRequest, workflow_id: str) -> HttpResponse:
    """Deliver what a node waits for, with the JSON that was written."""
    stored = workflow_or_404(request, workflow_id)
    node = node_or_404(progress.graph_of(stored), request.POST.get("node", ""))
    try:
        arrivals.deliver(stored, node, _data(request.POST.get("data", "")), by=person(request))
        messages.success(request, f"Delivered to “{node.key}”.")
    except WrongArguments as wrong:
        messages.error(request, " ".join(text for texts in wrong.errors.values() for text in texts))
    except WorkflowException as error:
        messages.error(request, str(error))
    return SeeOther(stored.get_absolute_url())


def _data(text: str) -> object:
    """Return what was written as JSON, nothing for nothing; raise NotNow, which says where it is none."""
    if not text.strip():
        return None
    try:
        return parse(text)
    except WrongJson as error:
        raise NotNow(f"The data cannot be taken. {error}") from error
    except json.JSONDecodeError as error:
        raise NotNow(f"The data is no JSON. Line {error.lineno}, column {error.colno}: {error.msg}.") from error


@login_required
@require_POST
def make_link(request: HttpRequest, workflow_id: str) -> HttpResponse:
    """Make a signed link for a node, and show it once."""
    stored = workflow_or_404(request, workflow_id)
    node = node_or_404(progress.graph_of(stored), request.POST.get("node", ""))
    try:
        address = signed_links.make(stored, node, by=person(request))
        days = settings.LINKS_LAST / 86400
        text = f"Anyone who has this link delivers “{node.key}”, once, within {days:g} days:"
        messages.success(request, f"{text} {address}")
    except WorkflowException as error:
        messages.error(request, str(error))
    return SeeOther(stored.get_absolute_url())


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def by_link(request: HttpRequest, token: str) -> HttpResponse:
    """Ask anyone who holds the link to confirm, and deliver the event then. Looking at it (as mail programs do) delivers nothing."""
    try:
        link = signed_links.opened(token)
        if request.method == "POST":
            arrivals.deliver_by_link(link.stored, link.node, link.number)
            return _page(request, link, "done")
        return _page(request, link, _state(link))
    except signed_links.NoLink as error:
        return render(request, "jobroom/workflows/event.html", {"error": str(error)}, status=404)
    except WorkflowException as error:
        return _page(request, link, "", str(error), 409)


def _state(link: signed_links.Opened) -> str:
    node_state = node_states_now(link.stored)[link.node.index]
    if node_state == NodeState.EVENT:
        return "ask"
    return "over" if node_state in ENDED or link.stored.is_finished else "early"


def _page(
    request: HttpRequest, link: signed_links.Opened, state: str, error: str = "", status: int = 200
) -> HttpResponse:
    about = link.node.options.get("about") or link.node.key
    context = {"about": about, "state": state, "error": error}
    return render(request, "jobroom/workflows/event.html", context, status=status)

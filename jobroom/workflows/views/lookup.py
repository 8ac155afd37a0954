"""Finds the workflow of an address for the person who asks, or answers 404."""

from typing import cast

from django.http import Http404, HttpRequest, HttpResponseRedirect
from django.shortcuts import get_object_or_404

from jobroom.users import User
from jobroom.workflows import progress
from jobroom.workflows.current_state import as_key
from jobroom.workflows.graph import Graph, Node
from jobroom.workflows.models import StoredWorkflow


class SeeOther(HttpResponseRedirect):
    """Sends the browser on with GET (RFC 9110, 15.4.4)."""

    status_code = 303


def person(request: HttpRequest) -> User:
    """Return who asks; the view has seen to it that someone does."""
    return cast("User", request.user)


def workflow_or_404(request: HttpRequest, workflow_id: str) -> StoredWorkflow:
    """Return the workflow without its graph, which is kept elsewhere; raise Http404."""
    visible = StoredWorkflow.objects.visible_to(person(request)).defer("graph")
    return get_object_or_404(visible.select_related("owner", "definition__definition"), pk=as_key(workflow_id))


def node_or_404(graph: Graph, key: str) -> Node:
    """Return the node of that key; raise Http404."""
    found = progress.node_called(graph, key)
    if found is None:
        raise Http404
    return found

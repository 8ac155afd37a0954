"""Signed links that deliver an event: anyone who holds one may do so, once, until it expires, and learns nothing else."""

import dataclasses
import secrets

from celery import current_task
from django.core import signing
from django.urls import reverse

from jobroom import absolute_urls
from jobroom.users import User
from jobroom.workflows import policies
from jobroom.workflows.conf import settings
from jobroom.workflows.exceptions import NotAllowed, NotNow, WorkflowException
from jobroom.workflows.graph import Kind, Node
from jobroom.workflows.models import StoredWorkflow
from jobroom.workflows.services import audit

SALT = "jobroom.workflows.signed_links"


class NoLink(WorkflowException):
    """This link is not valid."""


@dataclasses.dataclass(frozen=True, slots=True)
class Opened:
    """What a link is for."""

    stored: StoredWorkflow
    node: Node
    number: str


def make(stored: StoredWorkflow, node: Node, *, by: User | None) -> str:
    """Return the address of a new link that delivers what the node waits for, or will wait for."""
    if by is not None and not policies.may_act(by, stored):
        raise NotAllowed("Only its owner and staff may do that with this workflow.")
    if node.kind != Kind.EVENT:
        raise NotNow(f"“{node.key}” waits for no event.")
    audit(stored, by, "made a link to", outcome=f"Node {node.key}.")
    return _address(stored.pk, node.index)


def link_to(key: str) -> str:
    """Return, in a job of a workflow, a link that delivers what the node `key` of the same workflow waits for."""
    workflow_id = getattr(getattr(current_task, "request", None), "workflow", None)
    if not workflow_id:
        raise WorkflowException(
            "`link_to` is for jobs of workflows; elsewhere use `jobroom.workflows.signed_links.make`."
        )
    stored = StoredWorkflow.objects.get(pk=workflow_id)
    node = next((node for node in stored.read_graph().nodes if node.key == key), None)
    if node is None:
        raise WorkflowException(f"The workflow has no node “{key}”.")
    return make(stored, node, by=None)


def _address(workflow_id: str, index: int) -> str:
    token = signing.dumps([workflow_id, index, secrets.token_urlsafe(9)], salt=SALT)
    return absolute_urls.full(reverse("jobroom:workflows:event", args=[token]))


def opened(token: str) -> Opened:
    """Return what a link is for; raise NoLink, which says what is wrong with it."""
    try:
        workflow_id, index, number = signing.loads(token, salt=SALT, max_age=settings.LINKS_LAST)
    except signing.SignatureExpired as error:
        raise NoLink("This link has expired. Ask the person who sent it for a new one.") from error
    except (signing.BadSignature, ValueError) as error:
        raise NoLink("This link is not valid. Was it copied whole?") from error
    stored = StoredWorkflow.objects.filter(pk=workflow_id).first()
    nodes = stored.read_graph().nodes if stored is not None else []
    if stored is None or index >= len(nodes):
        raise NoLink("What this link is for does not exist any more.")
    return Opened(stored, nodes[index], number)

"""Reads a workflow's current state, with what the database does not hold yet."""

from typing import Any

from django.contrib.auth.models import AnonymousUser

from jobroom import redis
from jobroom.users import User
from jobroom.workflows.engine import keys
from jobroom.workflows.models import FINISHED, StoredWorkflow


def as_key(text: str) -> str:
    """Return an id that someone has typed as one that every database may be asked for; no workflow has one with a NUL."""
    return text[:64].replace("\x00", "")


def visible_workflow(workflow_id: str, user: User | AnonymousUser) -> StoredWorkflow | None:
    """Return the workflow if `user` may see it."""
    found = StoredWorkflow.objects.visible_to(user).select_related("owner", "definition__definition")
    return found.filter(pk=as_key(workflow_id)).first()


def node_states_now(stored: StoredWorkflow) -> str:
    """Return the state of each node as the engine has it, of the database where the workflow has ended or Redis is away."""
    if stored.state in FINISHED:
        return stored.node_states
    names = [str(index) for index in range(len(stored.node_states))]
    try:
        known: Any = redis.client().hmget(keys.workflow(stored.pk, "s"), names) if names else []
    except (redis.Error, OSError):
        return stored.node_states
    return "".join(node_state or "w" for node_state in known) if any(known) else stored.node_states

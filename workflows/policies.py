"""Who may do what with workflows: the same for page, API, socket and command. Closed where nothing opens it."""

from django.contrib.auth.models import AnonymousUser, User

from workflows.graph import Node
from workflows.models import FINISHED, Definition, State, StoredWorkflow


def may_see(user: User | AnonymousUser, stored: StoredWorkflow) -> bool:
    """Return whether the workflow, its arguments and its results are open to `user`: staff and its owner."""
    return bool(user.is_authenticated and user.is_active and (user.is_staff or stored.owner_id == user.pk))


def may_act(user: User | AnonymousUser, stored: StoredWorkflow) -> bool:
    """Return whether `user` may pause, cancel, resume it and run it again."""
    return may_see(user, stored)


def may_decide(user: User | AnonymousUser, stored: StoredWorkflow, node: Node) -> bool:
    """Return whether `user` may decide an approval: staff, and the groups that it names; the owner alone may not."""
    if not user.is_authenticated or not user.is_active:
        return False
    if user.is_staff:
        return True
    groups = node.options.get("groups") or []
    return bool(groups) and user.groups.filter(name__in=groups).exists()


def may_launch(user: User | AnonymousUser, definition: Definition) -> bool:
    """Return whether `user` may launch a definition: staff, and the groups that the admin gave it to."""
    if not user.is_authenticated or not user.is_active or not definition.enabled:
        return False
    return user.is_staff or definition.launch.filter(pk__in=user.groups.values("pk")).exists()


def may_write(user: User | AnonymousUser) -> bool:
    """Return whether `user` may launch a graph of their own, and load definitions: staff, as it may name any task."""
    return bool(user.is_authenticated and user.is_active and user.is_staff)


def why_not(action: str, user: User | AnonymousUser, stored: StoredWorkflow) -> str:
    """Return why `user` cannot `pause`, `unpause`, `cancel`, `resume` or run it `again` now; empty if nothing is against it."""
    if not may_act(user, stored):
        return "Only its owner and staff may do that."
    state = stored.get_state_display().lower()
    if action == "pause" and stored.state != State.RUNNING:
        return f"It can be paused only while it runs. It is {state}."
    if action == "unpause" and stored.state != State.PAUSED:
        return "It is not paused."
    if action == "cancel" and stored.state in FINISHED:
        return f"It has ended already: {state}."
    if action == "cancel" and stored.cancel_at is not None:
        return f"{stored.cancel_by} asked for its end already."
    if action == "resume" and stored.state not in FINISHED:
        return f"It has not ended. It is {state}."
    return "It succeeded. Run it again instead." if action == "resume" and stored.state == State.SUCCESS else ""

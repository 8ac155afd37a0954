"""Who may do what with workflows: the same for page, API, socket and command. Closed where nothing opens it."""

from django.contrib.auth.models import AnonymousUser
from django.db.models import QuerySet

from jobroom.users import User
from jobroom.workflows.graph import Node
from jobroom.workflows.models import FINISHED, Definition, State, StoredWorkflow


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


def launchable_by(user: User) -> "QuerySet[Definition]":
    """Return the definitions that `user` may launch."""
    enabled = Definition.objects.filter(enabled=True).order_by("name")
    return enabled if user.is_staff else enabled.filter(launch__in=user.groups.all()).distinct()


def is_off(stored: StoredWorkflow) -> bool:
    """Return whether the definition of the workflow is switched off, so that nothing of it is started."""
    return stored.definition is not None and not stored.definition.definition.enabled


def why_not_start(user: User | AnonymousUser | None, stored: StoredWorkflow) -> str:
    """Return why no nodes of the workflow are started in the name of `user` now; empty if nothing is against it.

    A graph that someone wrote for one launch is for those who may write one; what code has started is its owner's.
    """
    version = stored.definition
    if is_off(stored):
        return f"The workflow {version.definition.name if version else ''} is switched off."
    if user is None or may_write(user):
        return ""
    if version is None:
        return "" if _is_of_code(stored) else "Only staff may launch a graph of their own, as it may name any task."
    if may_launch(user, version.definition):
        return ""
    return f"You may not launch {version.definition.name} any more. Ask an administrator to open it to your group."


def _is_of_code(stored: StoredWorkflow) -> bool:
    """Return whether code has started the workflow, or the first of those that it runs again."""
    first = stored
    while first.rerun_of is not None:
        first = first.rerun_of
    return first.source in {"", "code"}


def may_write(user: User | AnonymousUser) -> bool:
    """Return whether `user` may launch a graph of their own, and load definitions: staff, as it may name any task."""
    return bool(user.is_authenticated and user.is_active and user.is_staff)


def why_not(action: str, user: User | AnonymousUser, stored: StoredWorkflow) -> str:
    """Return why `user` cannot `pause`, `unpause`, `cancel`, `resume`, `resume_from` a node or run it `again` now; empty if nothing is against it."""
    if not may_act(user, stored):
        return "Only its owner and staff may do that."
    reason = _state_against(action, stored)
    return reason or (why_not_start(user, stored) if action in {"unpause", "resume", "again"} else "")


def _state_against(action: str, stored: StoredWorkflow) -> str:
    state = stored.get_state_display().lower()
    if action == "pause" and stored.state != State.RUNNING:
        return f"It can be paused only while it runs. It is {state}."
    if action == "unpause" and stored.state != State.PAUSED:
        return "It is not paused."
    if action == "cancel" and stored.state in FINISHED:
        return f"It has ended already: {state}."
    if action == "cancel" and stored.cancel_at is not None:
        return f"{stored.cancel_by} asked to cancel it already."
    if action in {"resume", "resume_from"} and stored.state not in FINISHED:
        return f"It has not ended. It is {state}."
    return "It succeeded. Run it again instead." if action == "resume" and stored.state == State.SUCCESS else ""

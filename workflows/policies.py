"""Who may do what with workflows: the same for page, API, socket and command. Closed where nothing opens it."""

from django.contrib.auth.models import AnonymousUser, User

from workflows.graph import Node
from workflows.models import StoredWorkflow


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

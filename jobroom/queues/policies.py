"""Who may look at queues and locks, and who may change them. Closed unless said otherwise here."""

from django.contrib.auth.models import AnonymousUser

from jobroom.users import User


def may_see(user: User | AnonymousUser) -> bool:
    """Return whether the user may look at queues, messages, workers and locks."""
    return user.is_authenticated and user.is_active and user.is_staff


def may_operate(user: User | AnonymousUser) -> bool:
    """Return whether the user may change them."""
    return may_see(user) and user.has_perm("jobroom_queues.operate")

"""Who may see the versions of the spam model, and change which one works."""

from django.contrib.auth.models import AnonymousUser

from jobroom.jobs import policies
from jobroom.users import User

PROMOTE = "text.promote_spammodel"
# Anyone who may launch one of these, or see its jobs, may know what they work with.
TASKS = ("detect_spam", "Classify messages", "Train spam detector", "Retrain spam detector")


def may_promote(user: User | AnonymousUser) -> bool:
    """Return whether the user may promote a version or roll back: staff, and who has the permission."""
    return user.is_authenticated and user.is_active and (user.is_staff or user.has_perm(PROMOTE))


def may_see_models(user: User | AnonymousUser) -> bool:
    """Return whether the user may see versions, their figures and what they were trained from."""
    if not user.is_authenticated or not user.is_active:
        return False
    if may_promote(user) or user.has_perm("text.view_spammodel"):
        return True
    return any(policies.may_know_of(user, task) for task in TASKS)

"""Who may load and delete vocabularies; who is signed in may read all of them."""

from django.contrib.auth.models import AnonymousUser

from jobroom.jobs import policies
from jobroom.users import User

# The task that loads one: anyone who may launch it may load.
LOAD = "ontology.load_vocabulary"


def may_load(user: User | AnonymousUser) -> bool:
    """Return whether the user may load vocabularies, new ones and new versions."""
    return policies.may_launch(user, LOAD)


def may_delete(user: User | AnonymousUser) -> bool:
    """Return whether the user may delete vocabularies."""
    return user.is_authenticated and user.is_active and user.is_staff

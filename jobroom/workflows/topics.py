"""Live topics of workflows: they say only that something has changed, and pages then ask the views."""

from collections.abc import Callable
from typing import Any

from django.contrib.auth.models import AnonymousUser

from jobroom.live import topics
from jobroom.users import User
from jobroom.workflows.models import StoredWorkflow

Event = dict[str, Any]


def connect() -> None:
    """Register the kinds of topics; twice is the same as once."""
    topics.register("workflow", topics.Kind(may_watch=_may_watch, snapshot=_nothing, render=_changed))
    topics.register("workflows", topics.Kind(may_watch=_is_known, snapshot=_nothing, render=_changed, hearing=_hearing))


def _may_watch(user: Any, name: str) -> bool:
    return StoredWorkflow.objects.visible_to(_fresh(user)).filter(pk=name.replace("\x00", "")).exists()


def _is_known(user: Any, name: str) -> bool:
    return bool(user.is_authenticated and user.is_active) and not name


def _hearing(user: Any) -> Callable[[Event], bool]:
    """Return what says of a change whether the user may see its workflow, or decide in it; without an owner it is for all."""
    person = _fresh(user)
    if person.is_authenticated and person.is_staff:
        return lambda event: True
    groups = set(person.groups.values_list("name", flat=True))
    own = person.pk
    return lambda event: "owner" not in event or event["owner"] == own or not groups.isdisjoint(event["groups"])


def _fresh(user: Any) -> Any:
    """Return the person as the database knows them now: a socket may be open for days."""
    if not user.is_authenticated:
        return user
    return User.objects.filter(pk=user.pk).first() or AnonymousUser()


def _nothing(name: str) -> Event:
    return {"seq": 0}


def _changed(event: Event) -> Event | None:
    return {"type": "changed"} if event.get("type") == "changed" else None

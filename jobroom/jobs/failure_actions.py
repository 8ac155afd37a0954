"""Mutes, resolves, reopens and assigns a cause of failures. Each act is kept in the audit."""

import getpass
from typing import Any

from django.utils import timezone

from jobroom.arguments import WrongArguments
from jobroom.jobs import policies, staged_retries
from jobroom.jobs.exceptions import NotAllowed, NotNow
from jobroom.jobs.failure_models import FailureGroup, GroupState
from jobroom.signals import acted
from jobroom.users import User

ACTIONS = ("mute", "resolve", "reopen", "assign", "retry", "stop-retry")
_DONE = {
    "mute": "muted",
    "resolve": "resolved",
    "reopen": "reopened",
    "assign": "assigned",
    "retry": "began to retry",
    "stop-retry": "stopped the retry of",
}
_STATES = {"mute": GroupState.MUTED, "resolve": GroupState.RESOLVED, "reopen": GroupState.OPEN}


def check(user: User) -> None:
    """Raise NotAllowed for those who may do nothing with a cause."""
    if not policies.may_handle_failures(user):
        raise NotAllowed("You may not do this: it needs “Can mute, assign and resolve causes of failures”.")


def act(*, group: FailureGroup, action: str, by: User | None, reason: str = "", assignee: str = "") -> str:
    """Do it, and return what that means; `by` None is someone with a shell, who may do everything.

    An empty `assignee` takes the cause from the person who has it.

    Raises NotAllowed when the person lacks the right, NotNow when the cause is in that state already, and WrongArguments, which
    names the field, when there is no such action, or no member of the staff with the name `assignee`.
    """
    if by is not None:
        check(by)
    if action not in ACTIONS:
        raise WrongArguments({"action": [f"Choose one of {', '.join(ACTIONS)}."]})
    who = f"{getpass.getuser()} (command line)" if by is None else by.get_username()
    said = _done(group, action, by, who, assignee)
    acted.send(
        sender=FailureGroup, who=who, action=_DONE[action], kind="failure", target=group.pk,
        reason=reason, outcome=f"{group}: {said}",
    )  # fmt: skip
    return said


def _done(group: FailureGroup, action: str, by: User | None, who: str, assignee: str) -> str:
    if action == "retry":
        return staged_retries.begin(group=group.pk, by=by, who=who)
    if action == "stop-retry":
        return staged_retries.stop(group=group.pk, who=who)
    return _assign(group, assignee) if action == "assign" else _set_state(group, _STATES[action])


def _set_state(group: FailureGroup, state: GroupState) -> str:
    changes: dict[str, Any] = {"state": state, "came_back_at": None}
    if state == GroupState.RESOLVED:
        changes["resolved_at"] = timezone.now()
    if not FailureGroup.objects.filter(pk=group.pk).exclude(state=state).update(**changes):
        raise NotNow(f"It is {state.label.lower()} already.")
    group.refresh_from_db()
    return _MEANS[state]


def _assign(group: FailureGroup, name: str) -> str:
    person = User.objects.filter(**{User.USERNAME_FIELD: name}, is_active=True, is_staff=True).first() if name else None
    if name and person is None:
        reason = f"There is no active member of the staff called “{name}”: give the name of one, or none."
        raise WrongArguments({"assignee": [reason]})
    if group.assigned_to == person:
        raise NotNow(f"It is assigned to {name or 'no one'} already.")
    FailureGroup.objects.filter(pk=group.pk).update(assigned_to=person)
    group.refresh_from_db()
    return f"Assigned to {name}." if name else "Assigned to no one."


_MEANS: dict[GroupState, str] = {
    GroupState.OPEN: "Open again.",
    GroupState.MUTED: "Muted: it is counted, and listed only among the muted.",
    GroupState.RESOLVED: "Resolved: it opens again when it is seen again.",
}

"""Writes task rules, the same for page, admin and command, with an entry in the audit."""

from django.db import transaction

from jobroom.jobs.exceptions import NotAllowed
from jobroom.jobs.models import TaskRule
from jobroom.jobs.policies import RIGHTS
from jobroom.signals import acted
from jobroom.users import User
from jobroom.web.versions import shown

FIELDS = ("task", *RIGHTS, "queues")
WORDS = {"add": "Making", "change": "Changing", "delete": "Deleting"}


def may(user: User, act: str) -> bool:
    """Return whether the user may `add`, `change` or `delete` rules: by Django's permission of the model."""
    return user.is_active and user.is_staff and user.has_perm(f"jobroom_jobs.{act}_taskrule")


def check(user: User, act: str) -> None:
    """Raise NotAllowed, which names the permission, where the user may not."""
    if not may(user, act):
        raise NotAllowed(f"{WORDS[act]} task rules needs the permission “Can {act} task rule”.")


def values(rule: TaskRule) -> dict[str, str]:
    """Return what a rule says, in words, by field."""
    if rule._state.adding:
        return dict.fromkeys(FIELDS, "nothing")
    return {name: ", ".join(rule.queues) or "nothing" if name == "queues" else shown(rule, name) for name in FIELDS}


def record(*, by: User, rule: TaskRule, action: str, before: dict[str, str]) -> str:
    """Write into the audit what became of a rule; return it: each field that is another now, empty for none."""
    now = dict.fromkeys(FIELDS, "nothing") if action == "deleted" else values(rule)
    said = "; ".join(f"{name}: {before[name]} → {now[name]}" for name in FIELDS if before[name] != now[name])
    if said:
        acted.send(
            sender=TaskRule,
            who=by.get_username(),
            action=action,
            kind="task rule",
            target=rule.task or before["task"],
            outcome=said,
        )
    return said


@transaction.atomic
def delete(*, by: User, rule: TaskRule) -> None:
    """Delete a rule: its task is for staff alone again."""
    check(by, "delete")
    before = values(rule)
    TaskRule.objects.filter(pk=rule.pk).delete()
    record(by=by, rule=rule, action="deleted", before=before)

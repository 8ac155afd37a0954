"""Who may do what. Page, API, WebSocket, command and file ask here; closed unless a rule opens it.

Staff may do everything. Others may launch what a rule opens to one of their groups, see and cancel their own jobs, and
see, read the arguments of or cancel the jobs of others where a rule says so.
"""

import functools
from typing import TYPE_CHECKING, Literal, get_args

from django.contrib.auth.models import AnonymousUser
from django.db import connection

from jobroom.conf import settings
from jobroom.jobs.access_models import TaskRule
from jobroom.users import User

if TYPE_CHECKING:
    from jobroom.jobs.models import Job

Right = Literal["see", "launch", "arguments", "cancel"]
RIGHTS: tuple[Right, ...] = get_args(Right)


def tasks_open_to(user: User | AnonymousUser, right: Right) -> frozenset[str]:
    """Return the tasks for which a rule gives `right` to one of the user's groups; asked once for each user object."""
    if not user.is_authenticated:
        return frozenset()
    kept: dict[Right, frozenset[str]] = user.__dict__.setdefault("_open_tasks", {})
    if not kept:
        kept.update(_rights_of(user.pk))
    return kept[right]


def _rights_of(user: int) -> dict[Right, frozenset[str]]:
    """Return the tasks that are open to the user for each right, in one query: a page asks for all four."""
    found: dict[Right, set[str]] = {right: set() for right in RIGHTS}
    with connection.cursor() as cursor:
        cursor.execute(_statement(connection.vendor), [user] * len(RIGHTS))
        for right, task in cursor.fetchall():
            found[right].add(task)
    return {right: frozenset(tasks) for right, tasks in found.items()}


@functools.cache
def _statement(vendor: str) -> str:
    """Return the statement for all rights of a user; to have Django write it takes longer than to ask it."""
    texts = []
    for right in RIGHTS:
        text, _ = TaskRule.objects.filter(**{f"{right}__user": 0}).values_list("task").query.sql_with_params()
        texts.append(f"SELECT '{right}', task FROM ({text}) AS of_{right}")  # noqa: S608 — made by Django
    return " UNION ALL ".join(texts)


def sees_all(user: User | AnonymousUser) -> bool:
    """Return whether the user sees every job."""
    return user.is_authenticated and user.is_active and user.is_staff


def sees_by_rule(user: User | AnonymousUser) -> bool:
    """Return whether a rule lets the user, who is no staff, see jobs of others."""
    return user.is_authenticated and not user.is_staff and bool(tasks_open_to(user, "see"))


def _may(user: User | AnonymousUser, right: Right, task: str) -> bool:
    if not user.is_authenticated or not user.is_active:
        return False
    return user.is_staff or task in tasks_open_to(user, right)


def may_launch(user: User | AnonymousUser, task: str) -> bool:
    """Return whether the user may launch the task."""
    return _may(user, "launch", task)


def may_see_task(user: User | AnonymousUser, task: str) -> bool:
    """Return whether the user may see the task and all its jobs."""
    return _may(user, "see", task)


def may_know_of(user: User | AnonymousUser, task: str) -> bool:
    """Return whether the catalogue shows the task to the user: there is something to do with it."""
    return may_launch(user, task) or may_see_task(user, task)


def _owns(user: User | AnonymousUser, job: "Job") -> bool:
    return user.is_authenticated and user.is_active and job.owner_id is not None and job.owner_id == user.pk


def may_see(user: User | AnonymousUser, job: "Job") -> bool:
    """Return whether the user may know of the job at all."""
    return _owns(user, job) or _may(user, "see", job.task)


def may_see_arguments(user: User | AnonymousUser, job: "Job") -> bool:
    """Return whether the user may read the job's arguments, result, log, error and files."""
    return _owns(user, job) or _may(user, "arguments", job.task)


def may_cancel(user: User | AnonymousUser, job: "Job") -> bool:
    """Return whether the user may cancel the job."""
    return _owns(user, job) or _may(user, "cancel", job.task)


def may_retry(user: User | AnonymousUser, job: "Job") -> bool:
    """Return whether the user may run the job again: whom a rule lets, and its owner while allowed to launch the task."""
    return _may(user, "cancel", job.task) or (_owns(user, job) and may_launch(user, job.task))


def may_handle_failures(user: User | AnonymousUser) -> bool:
    """Return whether the user may mute, assign and resolve causes of failures."""
    return sees_all(user) and user.has_perm("jobroom_jobs.handle_failuregroup")


def may_expect(user: User | AnonymousUser) -> bool:
    """Return whether the user may say what is expected of jobs, and so when they are late."""
    return sees_all(user) and user.has_perm("jobroom_jobs.expect")


def asked_afresh(user: User) -> User:
    """Return the same person as the database knows them now, for work that goes on for longer than a request."""
    user.refresh_from_db()
    user.__dict__.pop("_open_tasks", None)
    return user


def queues_for(user: User | AnonymousUser, task: str, default: str) -> list[str]:
    """Return the queues that the user may choose for the task, the default one first."""
    rule = TaskRule.objects.filter(task=task).first()
    everywhere = list(settings.QUEUES) if user.is_staff else []
    allowed = list(rule.queues) if rule is not None and rule.queues else everywhere
    return [default, *(queue for queue in allowed if queue != default)]

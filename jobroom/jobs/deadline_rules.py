"""What people expect of the jobs of a task or schedule: said and taken back, each with an entry in the audit."""

import getpass
from collections.abc import Mapping
from typing import Any

from celery import current_app
from django.db import IntegrityError, transaction

from jobroom.arguments import WrongArguments
from jobroom.jobs import policies
from jobroom.jobs.exceptions import NotAllowed, NotNow
from jobroom.jobs.lateness_models import Expectation, ExpectedOf
from jobroom.jobs.models import Job
from jobroom.jobs.number_formats import short
from jobroom.jobs.signals import schedule_asked
from jobroom.signals import acted
from jobroom.users import User

TIMES = ("within", "usual", "silent")
# A year, in seconds; and so many expectations there are at most.
LONGEST, MOST = 366 * 86_400, 1000


def check_right(by: User | None) -> None:
    """Raise NotAllowed for those who may not; None is someone with a shell."""
    if by is not None and not policies.may_expect(by):
        raise NotAllowed("You may not do this: it needs “Can say when jobs are late”.")


def add(*, of: str, name: str, times: Mapping[str, Any], by: User | None) -> Expectation:
    """Keep an expectation; `times` are seconds, by the names in TIMES.

    Raises NotAllowed, WrongArguments which names the field, and NotNow where there is one for that name.
    """
    check_right(by)
    row = Expectation(of=of, name=name.strip()[:255], by=_who(by)[:255], **_checked(of, name.strip(), times))
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError as error:
        raise NotNow(f"Something is expected of the {row} already: drop that first.") from error
    _tell(row, "expected", by)
    return row


def drop(*, row: Expectation, by: User | None) -> None:
    """Take an expectation back. Raises NotAllowed, and NotNow where it is gone by now."""
    check_right(by)
    if not Expectation.objects.filter(pk=row.pk).delete()[0]:
        raise NotNow("It is gone already.")
    _tell(row, "expected no more", by)


def said(row: Expectation) -> str:
    """Return what an expectation says, as people read it."""
    words = {
        "within": "it ends within {} of its turn",
        "usual": "it runs no longer than {}",
        "silent": "it is silent for {} at most",
    }
    found = [text.format(short(seconds)) for name, text in words.items() if (seconds := getattr(row, name)) is not None]
    return "; ".join(found)


def _checked(of: str, name: str, times: Mapping[str, Any]) -> dict[str, int]:
    wrong: dict[str, list[str]] = {}
    if of not in ExpectedOf.values:
        wrong["of"] = ["Choose task or schedule."]
    elif not _is_known(of, name):
        wrong["name"] = [f"There is no {of} called “{name[:100]}”: give the name of one."]
    if Expectation.objects.count() >= MOST:
        wrong["name"] = [f"There are {MOST:,} expectations, which is all that there may be: drop some first."]
    found = {key: times[key] for key in TIMES if times.get(key) not in (None, "")}
    if not found:
        wrong["within"] = ["Give at least one time: within, usual or silent."]
    for key, value in found.items():
        if not isinstance(value, int) or not 1 <= value <= LONGEST:
            wrong[key] = ["Give whole seconds, from 1 to those of a year."]
    if wrong:
        raise WrongArguments(wrong)
    return found


def _is_known(of: str, name: str) -> bool:
    if not name or "\x00" in name:
        return False
    if of == ExpectedOf.TASK and name in current_app.tasks:
        return True
    column = "task" if of == ExpectedOf.TASK else "schedule"
    return Job.objects.filter(**{column: name}).exclude(**{column: ""}).exists() or _is_schedule(of, name)


def _is_schedule(of: str, name: str) -> bool:
    """Return whether the room above knows such a schedule: one that never ran has left no job."""
    return of == ExpectedOf.SCHEDULE and any(there for _, there in schedule_asked.send(sender=Expectation, name=name))


def _who(by: User | None) -> str:
    return f"{getpass.getuser()} (command line)" if by is None else by.get_username()


def _tell(row: Expectation, action: str, by: User | None) -> None:
    acted.send(
        sender=Expectation,
        who=_who(by),
        action=action,
        kind="expectation",
        target=f"{row.of} {row.name}"[:255],
        outcome=said(row),
    )

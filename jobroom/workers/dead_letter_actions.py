"""What is done with dead letters: their jobs run again, such as after a deploy, or they are struck off the list."""

import collections
from collections.abc import Iterable

from django.db import transaction

from jobroom.arguments import WrongArguments
from jobroom.jobs import control
from jobroom.jobs.exceptions import JobError, NotAllowed, NotNow
from jobroom.jobs.models import Job
from jobroom.limits import TooMany
from jobroom.signals import acted
from jobroom.users import User
from jobroom.workers.models import DeadLetter

# Letters that one form acts on.
MOST = 500

NEEDS = "Deleting dead letters needs the permission “Can delete dead letter”."


def may_delete(user: User) -> bool:
    """Return whether the user may strike letters off the list."""
    return user.has_perm("jobroom_workers.delete_deadletter")


def requeue(letter: DeadLetter, by: User) -> None:
    """Run the job of a letter again, under the same id, and strike the letter off the list.

    Raises NotAllowed or NotNow, TooMany and WrongArguments as a retry of the job does; the letter stays then.
    """
    if not letter.job_id:
        raise NotNow("The message names no job, so nothing can run again. Send it again from where it came.")
    with transaction.atomic():
        job = Job.objects.visible_to(by).filter(pk=letter.job_id).first()
        if job is None:
            raise NotNow("The history does not hold its job, so its arguments are not known.")
        control.retry(job=job, by=by)
        letter.delete()
        _keep(by, "requeued", letter)


def delete(letter: DeadLetter, by: User) -> None:
    """Strike a letter off the list; its job stays as it is. Raises NotAllowed."""
    if not may_delete(by):
        raise NotAllowed(NEEDS)
    with transaction.atomic():
        letter.delete()
        _keep(by, "deleted", letter)


def _keep(by: User, action: str, letter: DeadLetter) -> None:
    name = " ".join(filter(None, [letter.task, letter.job_id])) or "a message without a job"
    acted.send(
        sender=DeadLetter,
        who=by.get_username(),
        action=action,
        kind="dead letter",
        target=name[:255],
        outcome=f"It was: {letter.reason}"[:2000],
    )


def requeue_all(letters: Iterable[DeadLetter], by: User) -> tuple[int, list[tuple[str, int]]]:
    """Requeue letters one by one; return how many, and for each reason why not the number of those left alone."""
    done, reasons = 0, collections.Counter[str]()
    for letter in letters:
        try:
            requeue(letter, by)
        except (JobError, WrongArguments, TooMany) as error:
            reasons[str(error)] += 1
        else:
            done += 1
    return done, reasons.most_common()

"""Actions on dead letters: running their jobs again, such as after a deploy, and deleting them."""

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
    """Return whether the user may strike dead letters off the list."""
    return user.has_perm("jobroom_workers.delete_deadletter")


def requeue(dead_letter: DeadLetter, by: User) -> None:
    """Run the job of a dead letter again, under the same id, and strike the dead letter off the list.

    Raises NotAllowed or NotNow, TooMany and WrongArguments as a retry of the job does; the dead letter stays then.
    """
    if not dead_letter.job_id:
        raise NotNow("The message names no job, so nothing can run again. Send it again from where it came.")
    job = Job.objects.visible_to(by).filter(pk=dead_letter.job_id).first()
    if job is None:
        raise NotNow("The history does not hold its job, so its arguments are not known.")
    # Not in the transaction: it asks Redis. A letter whose job runs again all the same can be deleted, or is refused as not ended.
    control.retry(job=job, by=by)
    with transaction.atomic():
        dead_letter.delete()
        _keep(by, "requeued", dead_letter)


def delete(dead_letter: DeadLetter, by: User) -> None:
    """Strike a dead letter off the list; its job stays as it is. Raises NotAllowed."""
    if not may_delete(by):
        raise NotAllowed(NEEDS)
    with transaction.atomic():
        dead_letter.delete()
        _keep(by, "deleted", dead_letter)


def _keep(by: User, action: str, dead_letter: DeadLetter) -> None:
    name = " ".join(filter(None, [dead_letter.task, dead_letter.job_id])) or "a message without a job"
    acted.send(
        sender=DeadLetter,
        who=by.get_username(),
        action=action,
        kind="dead letter",
        target=name[:255],
        outcome=f"It was: {dead_letter.reason}"[:2000],
    )


def requeue_all(dead_letters: Iterable[DeadLetter], by: User) -> tuple[int, list[tuple[str, int]]]:
    """Requeue dead letters one by one; return how many, and for each reason why not the number of those left alone."""
    done, reasons = 0, collections.Counter[str]()
    for dead_letter in dead_letters:
        try:
            requeue(dead_letter, by)
        except (JobError, WrongArguments, TooMany) as error:
            reasons[str(error)] += 1
        else:
            done += 1
    return done, reasons.most_common()

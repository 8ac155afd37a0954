"""Pauses a schedule whose jobs fail one after the other, as its policy says, and notifies its owner once.

The recorder asks when jobs have ended. What counts is the order in which they ended, whichever recorder wrote which end first, and
an end that no recorder has written yet counts too. The pause is one conditional update, so of several recorders one does it.
"""

import logging
from collections.abc import Collection
from typing import NamedTuple

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.urls import reverse
from django_celery_beat.models import PeriodicTask

from jobroom import absolute_urls, housekeeping_loops, truncation
from jobroom.jobs import current_state
from jobroom.jobs.models import ACTIVE, Job, State
from jobroom.schedules import audit
from jobroom.schedules.exceptions import NotNow
from jobroom.schedules.models import Backfill, BackfillState
from jobroom.schedules.policies import owner_id
from jobroom.schedules.services import pauses
from jobroom.schedules.services.overlap import LOOKED_AT
from jobroom.signals import mail_wanted
from jobroom.tasks.admin_mail import get_admin_emails
from jobroom.users import User

logger = logging.getLogger(__name__)

FAILURES = (State.FAILED, State.LOST)
# Ends that say how a job did; one that was cancelled or skipped says nothing of it.
COUNTED = (State.SUCCEEDED, *FAILURES)
# In whose name it is paused, and the most characters of an error that a mail quotes.
WHO = "its policy"
QUOTED = 500


class Addressed(NamedTuple):
    """Who is notified, and the words for them in the audit."""

    addresses: list[str]
    words: str


def look(failed: Collection[str]) -> None:
    """Pause those schedules of these failed jobs whose policy says so."""
    names = set(Job.objects.filter(pk__in=failed).exclude(schedule="").values_list("schedule", flat=True))
    backfilled = Backfill.objects.filter(row=OuterRef("pk"), state=BackfillState.RUNNING)
    rows = PeriodicTask.objects.filter(Q(enabled=True) | Exists(backfilled), name__in=names, policy__pause_after__gt=0)
    for row in rows.select_related("policy", "detail") if names else ():
        with housekeeping_loops.isolated("pausing schedules that fail", f"schedule {row.name}"):
            jobs = failed_in_a_row(row, row.policy.pause_after)
            if jobs:
                _pause(row, jobs)


def failed_in_a_row(row: PeriodicTask, number: int) -> list[Job]:
    """Return the jobs of the schedule that ended last, the newest first, where `number` of them failed one after the other.

    Those that ended before the end of the last pause count no more: who resumes a schedule gives it as many tries again.
    """
    newest = Job.objects.filter(schedule=row.name).exclude(schedule="").order_by("-created_at")
    columns = ("pk", "state", "finished_at", "error")
    jobs = [_now(job) for job in newest.only(*columns)[: LOOKED_AT + number]]
    resumed = getattr(getattr(row, "detail", None), "resumed_at", None)
    ended = [
        job
        for job in jobs
        if job.state in COUNTED and job.finished_at and (resumed is None or job.finished_at > resumed)
    ]
    ended.sort(key=lambda job: (job.finished_at, job.pk), reverse=True)
    last = ended[:number]
    return last if len(last) == number and all(job.state in FAILURES for job in last) else []


def _now(job: Job) -> Job:
    """Return the job with what no recorder has written yet."""
    return (current_state.job(job.pk) or job) if job.state in ACTIVE else job


def _pause(row: PeriodicTask, jobs: list[Job]) -> None:
    """Pause it and its backfill, notify and audit, all or nothing."""
    number = len(jobs)
    what = f"{number} jobs in a row failed" if number > 1 else "a job failed"
    reason = f"{what}, the last is {jobs[0].pk}"
    with transaction.atomic():
        running = Backfill.objects.filter(row=row, state=BackfillState.RUNNING)
        held_up = running.update(
            state=BackfillState.PAUSED, reason=f"paused by the policy of the schedule: {reason}"[:300]
        )
        try:
            pauses.stop(row, WHO, reason)
        except NotNow:  # another recorder has seen to it, or a person was faster
            if held_up:
                audit.record(None, "paused a backfill of", row.name, reason=reason, who="the policy of the schedule")
            return
        said = _notify(row, what, jobs)
        audit.record(None, "paused", row.name, reason=reason, outcome=said, who="the policy of the schedule")
    logger.warning("Schedule %s is paused by its policy: %s. %s", row.name, reason, said)


def _notify(row: PeriodicTask, what: str, jobs: list[Job]) -> str:
    """Put the mail into the outbox, which sends it after the commit; return the sentence about it. The pause holds without it."""
    addressed = _addressed(row)
    if not addressed.addresses:
        return "No one was notified: its owner has no address, and the site names no administrators (ADMINS)."
    subject = " ".join(f"Schedule paused: {row.name} ({what})".split())[:200]
    key = f"schedule {row.pk} paused {jobs[0].pk}"
    try:
        with transaction.atomic():
            taken = mail_wanted.send(
                sender=None, to=addressed.addresses, subject=subject, text=_text(row, what, jobs), key=key
            )
    except Exception:  # the boundary: an address that is none, a text that no mail can hold
        logger.exception("The mail about the pause of schedule %s was not written", row.name)
        return f"{addressed.words} could not be notified: the log of the recorder says why."
    if not any(answer for _, answer in taken):
        return f"{addressed.words} could not be notified: no app of this site sends mails."
    return f"{addressed.words} is notified by mail."


def _addressed(row: PeriodicTask) -> Addressed:
    """Return the owner's address, that of the administrators for a schedule of the site, or of an owner without one."""
    owner = User._default_manager.filter(pk=owner_id(row) or 0, is_active=True).first()
    address = str(getattr(owner, "email", "") or "")
    if owner is not None and address:
        return Addressed([address], f"Its owner {owner.get_username()}")
    return Addressed(get_admin_emails(), "The administrator" if len(get_admin_emails()) == 1 else "Each administrator")


def _text(row: PeriodicTask, what: str, jobs: list[Job]) -> str:
    lines = [
        f"- {_link('jobroom:jobs:job', job.pk)} {State(job.state).label.lower()} at {job.finished_at}" for job in jobs
    ]
    error = truncation.shorten(jobs[0].error.strip(), QUOTED) if jobs[0].error else ""
    return "\n".join(
        [
            f"The schedule “{row.name}” of the task {row.task} is paused, as its policy says: {what}.",
            "It sends nothing more until it is resumed on its page:",
            _link("jobroom:schedules:schedule", row.pk),
            "",
            "The jobs, the latest first:",
            *lines,
            *(["", "The latest error:", error] if error else []),
            "",
        ]
    )


def _link(name: str, *args: object) -> str:
    return absolute_urls.full(reverse(name, args=args))

"""Cancel and retry: what may be done to a job now, why not otherwise, and doing it."""

from celery import current_app
from django.contrib.auth.models import User
from django.utils import timezone

from common import cancelling
from common.signals import cancel_asked
from jobs import policies
from jobs.exceptions import NotAllowed, NotNow
from jobs.launching import arguments_of, has_secrets, send_again
from jobs.models import FINISHED, Job, State


def why_not_cancel(job: Job, by: User) -> str:
    """Return why `by` cannot cancel the job now; empty if nothing is against it."""
    if not policies.may_cancel(by, job):
        return "Only its owner, staff, and groups with the right may cancel it."
    if job.state in FINISHED:
        return f"It has ended already: {job.get_state_display().lower()}."
    return ""


def why_not_retry(job: Job, by: User) -> str:
    """Return why `by` cannot run the job again under the same id; empty if nothing is against it."""
    if not policies.may_cancel(by, job):
        return "Only its owner, staff, and groups with the right may retry it."
    return unfit_for_retry(job)


def unfit_for_retry(job: Job) -> str:
    """Return why nobody, not even the machine, can run the job again under its id; empty if it can be."""
    if job.state not in FINISHED:
        return "It has not ended yet."
    if job.workflow_id:
        return "It is a node of a workflow. Resume the workflow, which runs what follows too."
    if job.state == State.SUCCEEDED:
        return "It succeeded. Run it again as a new job instead."
    if has_secrets(job):
        return "Some arguments were secret and are not kept. Run it again and give them anew."
    return "" if job.task in current_app.tasks else "Its task does not exist any more."


def why_not_note(job: Job, by: User) -> str:
    """Return why `by` cannot keep a note with the job; empty if nothing is against it."""
    return "" if policies.may_cancel(by, job) else "Only its owner, staff, and groups with the right may write here."


def cancel(*, job: Job, by: User | None, name: str = "") -> str:
    """Ask for the end of the job; return the sentence that says what happens now.

    `by` None means the machine, called `name`. Raises NotAllowed or NotNow.
    """
    who = by.get_username() if by is not None else name
    if by is not None and not policies.may_cancel(by, job):
        raise NotAllowed(why_not_cancel(job, by))
    if job.state in FINISHED:
        raise NotNow(f"Job {job.pk} has ended already: {job.get_state_display().lower()}.")
    Job.objects.filter(pk=job.pk).update(cancel_by=who, cancel_at=timezone.now())
    runs = cancelling.request(job.pk, who)
    cancel_asked.send(sender=Job, job_id=job.pk)
    if runs:
        return (
            "Asked to stop. It stops at its next progress call; if it makes none, its process is ended "
            "after the grace period where its worker can do that."
        )
    return "Cancelled. It will not start any more, even if its worker restarts."


def retry(*, job: Job, by: User | None) -> None:
    """Run the finished job again, under the same id, as a new attempt; raise NotAllowed or NotNow."""
    if by is not None and not policies.may_cancel(by, job):
        raise NotAllowed(why_not_retry(job, by))
    if reason := unfit_for_retry(job):
        raise NotNow(reason)
    cancelling.withdraw(job.pk)
    Job.objects.filter(pk=job.pk).update(cancel_by="", cancel_at=None)
    send_again(job, arguments_of(job))

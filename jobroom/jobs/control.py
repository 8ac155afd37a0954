"""Cancel and retry: what may be done to a job now, why not otherwise, and doing it."""

from collections import deque
from collections.abc import Sequence

from celery import current_app
from django.utils import timezone

from jobroom.events import MESSAGE_UNREADABLE, cancellation
from jobroom.jobs import gate, limits, policies
from jobroom.jobs.exceptions import NotAllowed, NotNow
from jobroom.jobs.launches import arguments_of, has_secrets, send_again
from jobroom.jobs.models import FINISHED, Job, State
from jobroom.jobs.querysets import JobQuerySet
from jobroom.signals import acted, cancel_asked
from jobroom.users import User

# Parts of jobs that are looked at when those are cancelled, and rows that one statement asks for.
MOST_PARTS = 20_000
CHUNK = 500


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
    return unfit_for_retry(job) or _right_taken(job, by)


def _right_taken(job: Job, by: User) -> str:
    may = policies.may_retry(by, job)
    return "" if may else f"You may not launch {job.task} any more. {gate.NOT_OPEN}"


def unfit_for_retry(job: Job) -> str:
    """Return why no one, not even the machine, can run the job again under its id; empty if it can be."""
    if job.state not in FINISHED:
        return "It has not ended yet."
    if job.workflow_id:
        return "It is a node of a workflow. Resume the workflow, which runs what follows too."
    if job.state == State.SUCCEEDED:
        return "It succeeded. Run it again as a new job instead."
    if reason := _unknown_arguments(job):
        return reason
    return "" if job.task in current_app.tasks else "Its task does not exist any more."


def _unknown_arguments(job: Job) -> str:
    if job.error_type == MESSAGE_UNREADABLE:
        return "Its message could not be read, so its arguments are not known. Send it again from where it came."
    if job.facts.get("arguments") == "text":
        return "Its arguments were imported as text alone. Run it again as a new job and give them."
    if has_secrets(job):
        return "Some arguments were secret and are not kept. Run it again and give them again."
    return ""


def why_not_note(job: Job, by: User) -> str:
    """Return why `by` cannot keep a note with the job; empty if nothing is against it."""
    may = policies.may_cancel(by, job) and policies.may_see_arguments(by, job)
    return "" if may else "Only its owner, staff, and groups with the right may write here."


def cancel(*, job: Job, by: User | None, name: str = "") -> str:
    """Ask for the end of the job; return the sentence that says what happens now.

    `by` None means the machine, called `name`. Raises NotAllowed or NotNow.
    """
    who = by.get_username() if by is not None else name
    if by is not None and not policies.may_cancel(by, job):
        raise NotAllowed(why_not_cancel(job, by))
    if job.state in FINISHED:
        raise NotNow(f"Job {job.pk} has ended already: {job.get_state_display().lower()}.")
    if ask_to_end(Job.objects.filter(pk=job.pk), [job.pk], who):
        said = (
            "Asked to stop. It stops at its next progress call; if it makes none, its process is ended "
            "after the grace period where its worker can do that."
        )
    else:
        said = "Cancelled. It will not start any more, even if its worker restarts."
    acted.send(sender=Job, who=who, action="cancelled", kind="job", target=job.pk, outcome=said)
    return said


def ask_to_end(rows: JobQuerySet, ids: Sequence[str], who: str) -> set[str]:
    """Ask jobs to end in the name of `who`, all in a few steps; return the ids of those that run and have to notice.

    What took the place of one of them (`self.replace`) is part of it and is asked too.

    Args:
        rows: their rows, of which those that have not ended note who asked.
        ids: the same jobs by their ids; also those that the database does not hold yet.
        who: the name that pages show.

    """
    rows.exclude(state__in=FINISHED).update(cancel_by=who, cancel_at=timezone.now())
    parts = _in_the_place_of(rows)
    if parts:
        Job.objects.filter(pk__in=parts).exclude(state__in=FINISHED).update(cancel_by=who, cancel_at=timezone.now())
    every = [*ids, *parts]
    running = cancellation.request_all(every, who)
    cancel_asked.send(sender=Job, job_ids=every, waiting=[pk for pk in every if pk not in running])
    return running


def _in_the_place_of(rows: JobQuerySet) -> list[str]:
    """Return the jobs that have not ended and took the place of one of the rows, or go on for one that did; bounded."""
    waits = rows.filter(state=State.QUEUED, queue="", facts__has_key="replaced")
    level = deque(job.pk for job in waits if job.gave_its_place)
    seen, found = set(level), list[str]()
    while level and len(seen) < MOST_PARTS:
        parents = [level.popleft() for _ in range(min(CHUNK, len(level)))]
        children = Job.objects.filter(parent_id__in=parents).exclude(parent_id="").values_list("pk", "state")
        for pk, state in children[:MOST_PARTS]:
            if pk not in seen:
                seen.add(pk)
                level.append(pk)
                if state not in FINISHED:
                    found.append(pk)
    return found


def retry(*, job: Job, by: User | None) -> None:
    """Run the finished job again, under the same id, as a new attempt.

    It needs the rights of now: of the person to retry it, and of its owner to what its arguments name. Raises NotAllowed,
    NotNow, TooMany beyond what the person may launch, and WrongArguments where the task, a row or a file has changed.
    """
    if by is not None and not policies.may_cancel(by, job):
        raise NotAllowed(why_not_retry(job, by))
    if reason := unfit_for_retry(job):
        raise NotNow(reason)
    if by is not None and (reason := _right_taken(job, by)):
        raise NotAllowed(reason)
    in_whose_name = None if by is None or policies.sees_all(by) else job.owner
    checked = gate.check(gate.task_called(job.task), arguments_of(job), in_whose_name)
    limits.allow_launch(by, job.task)
    cancellation.withdraw(job.pk)
    Job.objects.filter(pk=job.pk).update(cancel_by="", cancel_at=None)
    send_again(job, checked)
    who = by.get_username() if by is not None else "the command line"
    acted.send(sender=Job, who=who, action="retried", kind="job", target=job.pk, outcome="Sent again as a new attempt.")

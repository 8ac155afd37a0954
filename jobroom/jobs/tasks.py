"""The tasks of the jobs app itself: deleting old jobs and results, and acting on many jobs."""

from datetime import datetime
from typing import Annotated, Any

from celery import shared_task

from jobroom.events import consumer
from jobroom.exceptions import JobFailed
from jobroom.jobs import bulk, retention
from jobroom.jobs.models import Job
from jobroom.tasks import BaseTask

# Seconds that a cleaner waits for the history.
CATCH_UP = 60.0


@shared_task(bind=True, base=BaseTask, name="jobroom.jobs.cleanup_jobs", title="Clean up old jobs", acks_late=True)
def cleanup_jobs(
    self: BaseTask,
    days: Annotated[float | None, "Finished jobs older than so many days are deleted; 0 keeps all."] = None,
    keep: Annotated[int | None, "So many of the newest finished jobs are kept at most; 0 keeps all."] = None,
) -> str:
    """Delete old jobs from the database, with their attempts and log lines."""
    _catch_up()
    count = retention.cleanup_jobs(days=days, keep=keep, notify=lambda n: self.progress(n, None, f"{n} jobs deleted"))
    return f"{count} jobs deleted"


def _catch_up() -> None:
    """Wait until the history knows what happened before now: an old job may have been run again a moment ago."""
    if not consumer.wait_for(consumer.mark(), CATCH_UP):
        raise JobFailed(
            f"The history is behind by more than {CATCH_UP:.0f} s, so nothing is deleted. See the recorder."
        )


@shared_task(
    bind=True, base=BaseTask, name="jobroom.jobs.cleanup_results", title="Clean up old results", acks_late=True
)
def cleanup_results(
    self: BaseTask,
    days: Annotated[float | None, "Results older than so many days are deleted; 0 keeps all."] = None,
) -> str:
    """Delete old results from the archive of django-celery-results."""
    count = retention.cleanup_results(days=days, notify=lambda n: self.progress(n, None, f"{n} results deleted"))
    return f"{count} results deleted"


@shared_task(bind=True, base=BaseTask, name=bulk.TASK, title="Cancel or retry many jobs", acks_late=True)
def on_many(
    self: BaseTask,
    action: Annotated[bulk.Action, "What is done to each job."],
    query: Annotated[dict[str, str] | None, 'The list\'s filter, such as {"state": "failed"}.'] = None,
    ids: Annotated[list[str] | None, "The jobs by their ids, instead of a filter."] = None,
    until: Annotated[
        datetime | None, "Jobs made after this moment are left alone; without it, after the launch."
    ] = None,
) -> dict[str, Any]:
    """Cancel or retry many jobs, with the rights of the person who owns this job.

    Rights and states are looked at again for each job in its moment. What cannot be done is counted with its reason.
    """
    own = Job.objects.select_related("owner").filter(pk=self.request.id).first()
    if own is None or own.owner is None or not own.owner.is_active:
        raise JobFailed("This job has no owner, so it may do nothing. Launch it from the list of jobs.")
    choice = bulk.Choice(query or {}, ids or (), until or own.created_at)
    total = bulk.plan(action, choice, own.owner).total

    def notify(so_far: bulk.Outcome, job: Job) -> None:
        self.progress(so_far.total, max(total, so_far.total + 1), job.task)

    self.log("info", f"{action.capitalize()} for {own.owner.get_username()}: {total:,} jobs are looked at")
    jobs = bulk.each(choice, own.owner, ended_by=choice.until, but=own.pk)
    outcome = bulk.act(action, jobs, own.owner, notify)
    for reason, number in outcome.reasons:
        self.log("warning", f"{number:,} left alone: {reason}")
    if outcome.stopped:
        raise JobFailed(f"{bulk.sentence(action, outcome)}")
    return {"done": outcome.done, "left alone": outcome.left_alone}

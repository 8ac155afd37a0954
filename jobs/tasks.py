"""The chores of the book."""

from typing import Annotated

from celery import shared_task

from common.tasks import BaseTask
from jobs import services


@shared_task(bind=True, base=BaseTask, name="jobs.cleanup_jobs", acks_late=True)
def cleanup_jobs(
    self: BaseTask,
    days: Annotated[float | None, "Finished jobs older than so many days are deleted; 0 keeps all."] = None,
    keep: Annotated[int | None, "So many of the newest finished jobs are kept at most; 0 keeps all."] = None,
) -> str:
    """Delete old jobs from the book, with their attempts and log lines."""
    count = services.cleanup_jobs(days=days, keep=keep, tell=lambda n: self.progress(n, None, f"{n} jobs deleted"))
    return f"{count} jobs deleted"


@shared_task(bind=True, base=BaseTask, name="jobs.cleanup_results", acks_late=True)
def cleanup_results(
    self: BaseTask,
    days: Annotated[float | None, "Results older than so many days are deleted; 0 keeps all."] = None,
) -> str:
    """Delete old results from the archive of django-celery-results."""
    count = services.cleanup_results(days=days, tell=lambda n: self.progress(n, None, f"{n} results deleted"))
    return f"{count} results deleted"

"""Asks, when a job that was launched for later starts, whether the person who launched it still may."""

from typing import Any

from celery.exceptions import Ignore

from jobroom.celery.tracker import ASK
from jobroom.exceptions import TaskError
from jobroom.signals import start_asked


class NotStarted(TaskError):
    """The job may not run any more."""


def ask(task: Any, args: Any, kwargs: Any) -> None:
    """End the job as a failure, without a retry, where it may not start; raises Ignore then.

    A further attempt is not asked: the work has started, and goes on as its retries say.
    """
    request = task.request
    if not getattr(request, ASK, None) or request.retries:
        return
    answers = start_asked.send(sender=type(task), job_id=request.id, task=task, args=args, kwargs=kwargs)
    if reason := next((text for _, text in answers if text), ""):
        error = NotStarted(f"It was not started: {reason}")
        task.backend.mark_as_failure(request.id, error, request=request)
        raise Ignore(str(error))

"""Puts a job whose resource is not loaded back into its queue; it does not fail."""

from typing import Any

from celery.exceptions import Ignore

from jobroom.locks.requeue import RESOURCE_HEADER, send_again
from jobroom.resources.exceptions import ResourceNotReady

# Longest time in seconds between two tries of one job.
LONGEST = 30.0


def wait_for_resource(task: Any, why: ResourceNotReady) -> None:
    """Send the running job to its queue again and end this execution by raising Ignore; return where there is no queue."""
    request = task.request
    if request.called_directly or request.is_eager:
        return
    execution = getattr(request, "execution", None)
    if execution is not None:
        execution.report("waiting", request.id, execution=execution.id, lock="", holder="", resource=why.name)
    send_again(request, min(why.wait, LONGEST), {RESOURCE_HEADER: [why.name, request.retries or 0]})
    if execution is not None:
        execution.requeued = True
    raise Ignore(str(why))

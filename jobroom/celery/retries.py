"""Retries and `self.replace`: how runs of one job follow one another, by the policy that its message carries."""

import uuid
from collections.abc import Callable
from typing import Any

from celery.canvas import chord
from celery.exceptions import Ignore, Reject, Retry

from jobroom import events
from jobroom.celery.signatures import is_chain

# A pause between two attempts never grows beyond this, in seconds.
LONGEST_PAUSE = 3600.0
# How the dispatch of a message begins that goes on under the id of a job which gave its place away.
REPLACEMENT = "replacement-"


def by_policy(task: Any, error: Exception, policy: list[float]) -> None:
    """Raise Retry while `policy` (most retries, seconds before the first, factor for each further one) allows it.

    Returns when the error is to stand: the retries are used up, or the error is expected of the task (`throws`).
    """
    most, pause, factor = policy
    number = task.request.retries or 0
    expected = (Ignore, Reject, Retry, *task.throws)
    if isinstance(error, expected) or number >= most:
        return
    countdown = min(LONGEST_PAUSE, float(pause) * float(factor) ** number)
    raise task.retry(exc=error, countdown=countdown, max_retries=int(most))


def replace(task: Any, signature: Any, send: Callable[[Any], Any]) -> Any:
    """Send what replaces the job that runs; to the database, and to what the job is part of, it is still the job.

    Of several tasks the last one goes on under the job's id. Its message has a dispatch of its own, by which it is distinguished from the one
    that brought this run: should that be delivered again, it starts nothing.
    """
    request = task.request
    execution = getattr(request, "execution", None)
    if execution is None or request.is_eager:
        return send(signature)
    execution.requeued = True
    execution.report("waiting", request.id, execution=execution.id, lock="", holder="")
    heir = _heir(request.id, signature)
    if heir is not None:
        inherited = (request.headers or {}) if execution.is_part else {}
        own = heir.options.get("headers") or {}
        heir.set(headers={**inherited, **own, "dispatch": f"{REPLACEMENT}{uuid.uuid4().hex[:8]}"})
    try:
        return send(signature)
    except Ignore:  # it is sent
        if heir is not None:
            events.note_replaced(request.id, getattr(request, "dispatch", None))
        if heir is not signature:  # the job has no message until the others have ended
            execution.report("replaced", request.id, execution=execution.id)
        raise


def _heir(job: str, signature: Any) -> Any:
    if is_chain(signature):
        return next((found for part in reversed(signature.tasks) if (found := _heir(job, part)) is not None), None)
    if isinstance(signature, chord):
        return _heir(job, signature.body)
    return signature if signature.options.get("task_id") == job else None

"""Retries and `self.replace`: how runs of one job follow one another, by the policy that its message carries."""

from typing import Any

from celery.canvas import chord
from celery.exceptions import Ignore, Reject, Retry

from jobroom.celery.signatures import is_chain

# A pause between two attempts never grows beyond this, in seconds.
LONGEST_PAUSE = 3600.0


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


def bequeath(headers: dict[str, Any] | None, signature: Any) -> None:
    """Give the headers of a job to the last task of the signature that replaces it: that one keeps the job's id."""
    last = signature
    while is_chain(last) or isinstance(last, chord):
        last = last.tasks[-1] if is_chain(last) else last.body
    last.set(headers={**(headers or {}), **(last.options.get("headers") or {})})

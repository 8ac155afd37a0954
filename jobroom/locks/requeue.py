"""Puts a job that waits for its lock back into its queue, so that no pool process stands idle."""

import logging
import random
import time
from typing import Any

from celery.exceptions import Ignore
from kombu.exceptions import OperationalError

from jobroom import redis
from jobroom.current_task import get_current_task
from jobroom.locks.exclusive import ExclusiveLock

logger = logging.getLogger(__name__)

# Header of a message that was sent again because of a busy lock: [lock, number of the attempt, deadline].
HEADER = "lock_wait"
# The same of a message that waits for a resource: [resource, number of the attempt].
RESOURCE_HEADER = "resource_wait"
# The same of a message that waits because no one answered what a worker asks before a start: [tries, number of the attempt].
UNANSWERED_HEADER = "unanswered"
# All of them: their second value is the number of the attempt.
WAITS = (HEADER, RESOURCE_HEADER, UNANSWERED_HEADER)
# Seconds between two tries: short at first, then a share of the time waited, so that long waits stay cheap.
FIRST, SHARE, LONGEST = 0.5, 0.1, 10.0


def is_requeued(headers: dict[str, Any]) -> bool:
    """Return whether the message that is being sent is the same attempt again; a later retry keeps the header."""
    return any(mark and mark[1] == (headers.get("retries") or 0) for mark in map(headers.get, WAITS))


def wait_in_queue(request: Any, lock: ExclusiveLock, patience: float) -> None:
    """Send the running job to its queue again and end this execution by raising Ignore; return when time is up.

    `patience` is the longest wait in seconds from the first try. The deadline travels with the message, on the
    server's clock. The message keeps its id, its attempt and everything that hangs on it: links, chain, chord, group.
    """
    now = lock.refusal.at
    if lock.refusal.job and lock.refusal.job == request.id:
        # An earlier delivery of this job holds it, whose worker is gone, or this one would not have been sent.
        # What it left is free within one time to live; a job is not skipped because of its own remains.
        patience = max(patience, 1.5 * lock.ttl)
    until = _deadline(request, lock.name) or now + patience
    if now >= until:
        return
    execution = getattr(request, "execution", None)
    if execution is not None:
        execution.report("waiting", request.id, execution=execution.id, lock=lock.name, holder=lock.refusal.job)
    _send_again(request, lock, until, countdown=_pause(patience - (until - now), until - now))
    if execution is not None:
        execution.requeued = True
    raise Ignore(f"waits for the lock {lock.name}")


def _deadline(request: Any, name: str) -> float | None:
    mark = (request.headers or {}).get(HEADER)
    if mark and mark[0] == name and mark[1] == (request.retries or 0):
        return float(mark[2])
    return None


def _pause(waited: float, left: float) -> float:
    pause = min(LONGEST, FIRST + SHARE * max(0.0, waited)) * random.uniform(0.5, 1.5)  # noqa: S311 — jitter
    return min(pause, left)


def _send_again(request: Any, lock: ExclusiveLock, until: float, countdown: float) -> None:
    send_again(request, countdown, {HEADER: [lock.name, request.retries or 0, until]})


def send_again(request: Any, countdown: float, mark: dict[str, Any]) -> None:
    """Send the running job to its queue as the same attempt, marked with a header of this module, after `countdown` seconds.

    It has been reported that the job waits, so this returns only when the broker has the message, however long that takes.
    """
    task: Any = get_current_task()
    # Celery would make the job its own parent.
    headers = {**(request.headers or {}), **mark, "parent_id": request.parent_id}
    signature = task.signature_from_request(request, countdown=countdown, retries=request.retries or 0, headers=headers)
    pause = FIRST
    while True:
        try:
            signature.apply_async(add_to_parent=False)
        except (OperationalError, redis.Error, OSError) as error:
            logger.warning("Job %s cannot go back to its queue yet: %s", request.id, error)
        else:
            return
        time.sleep(pause)
        pause = min(2 * pause, LONGEST)

"""What becomes of a job when Redis or the database does not answer what a worker asks before it runs the job.

Neither its author nor its owner is to blame, so it does not fail; and it does not run unasked, because the answer decides
whether it may. While the database is away it goes back to its queue, as the same attempt, and another try follows after a
pause that grows. While Redis is away that cannot be reported: it waits where it is.
"""

import logging
import random
import time
from collections.abc import Callable
from typing import Any, TypeVar

from celery.exceptions import Ignore
from django.db import InterfaceError, OperationalError

from jobroom import events, redis, safe_text, truncation
from jobroom.exceptions import RedisUnavailable

logger = logging.getLogger(__name__)

T = TypeVar("T")

REDIS_AWAY = (redis.Error, RedisUnavailable, OSError)
DATABASE_AWAY = (OperationalError, InterfaceError)
# Seconds before the second try, and the longest pause between two.
FIRST, LONGEST = 1.0, 30.0
# Characters of the reason that is shown.
SAID = 300


def ask_redis(task: Any, question: Callable[[], T]) -> T:
    """Return the answer of Redis to `question`; while it is away, ask again and again.

    A call that is no job raises what the question raised. So does a job whose time limit strikes meanwhile.
    """
    return _ask(task, question, REDIS_AWAY, ())


def ask_database(task: Any, question: Callable[[], T]) -> T:
    """Return the answer of the database to `question`; while it is away, raise Ignore and let the job wait in its queue.

    A call that is no job raises what the question raised.
    """
    return _ask(task, question, (), DATABASE_AWAY)


def _ask(task: Any, question: Callable[[], T], here: tuple[Any, ...], aside: tuple[Any, ...]) -> T:
    pause = FIRST
    while True:
        try:
            return question()
        except (*here, *aside) as error:
            request = task.request
            if request.called_directly or request.is_eager:
                raise
            reason = truncation.shorten(f"{safe_text.error_type(error)}: {safe_text.error_text(error)}", SAID)
            if isinstance(error, aside):
                _go_back(request, reason)
            logger.warning("Job %s does not start yet, because there is no answer: %s", request.id, reason)
        time.sleep(pause * random.uniform(0.7, 1.3))  # noqa: S311 — jitter
        pause = min(2 * pause, LONGEST)


def _go_back(request: Any, reason: str) -> None:
    """Send the job to its queue again and end this run by raising Ignore; return where Redis cannot be asked."""
    from jobroom.locks import requeue

    execution = getattr(request, "execution", None)
    if execution is not None and not _reported(request, execution, f"The database did not answer ({reason})."):
        return
    tries = _tries(request, requeue.UNANSWERED_HEADER)
    logger.warning("Job %s goes back to its queue, because the database does not answer: %s", request.id, reason)
    pause = min(LONGEST, FIRST * 2.0**tries) * random.uniform(0.7, 1.3)  # noqa: S311 — jitter
    requeue.send_again(request, pause, {requeue.UNANSWERED_HEADER: [tries + 1, request.retries or 0]})
    if execution is not None:
        execution.requeued = True
    raise Ignore(f"database unavailable: {reason}")


def _tries(request: Any, header: str) -> int:
    mark = (request.headers or {}).get(header)
    return min(int(mark[0]), 30) if mark and mark[1] == (request.retries or 0) else 0


def _reported(request: Any, execution: Any, why: str) -> bool:
    """Report that the job waits; return False, and leave nothing to be reported later, where that is not possible now."""
    data = {"execution": execution.id, "lock": "", "holder": "", "error": why, "error_type": ""}
    if execution.write is not None:
        written: bool = execution.write("waiting", request.id, data)[0]
        return written
    try:
        events.ask("waiting", request.id, data)
    except (redis.Error, OSError):
        return False
    return True

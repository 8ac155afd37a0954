"""Asks a job to stop, and lets the job notice: certain before its start, at its next progress call after it."""

import json
import time
from typing import Any

from common import events, redis
from common.conf import settings

# A worker remembers for three hours what it was told to revoke (celery.worker.state.REVOKE_EXPIRES).
WANTED_KEPT = 4 * 3600
# In one step, so that a job cannot start in between: from now on whoever starts it finds the request.
_CANCEL = """
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
redis.call('DEL', KEYS[3])
return redis.call('EXISTS', KEYS[2])
"""


class JobCancelled(BaseException):
    """Ends a job that was asked to stop. Not an Exception, so that a task's own `except Exception` lets it pass."""

    def __init__(self, request: str) -> None:
        asked: dict[str, Any] = json.loads(request)
        self.by = str(asked.get("by") or "somebody")
        super().__init__(f"Cancelled by {self.by}.")


def request(job: str, by: str) -> bool:
    """Ask the job to stop; return True if it runs and has to notice, False if it will not start any more."""
    text = json.dumps({"by": by, "at": time.time()})
    keys = [events.cancel_key(job), events.running_key(job), _wanted(job)]
    running = bool(redis.script(_CANCEL)(keys, [text, settings.CANCEL_KEPT], client=redis.client()))
    if not running:
        events.emit("finished", job, state="cancelled", execution=None, error=f"Cancelled by {by} before it started.")
    return running


def _wanted(job: str) -> str:
    return redis.key("wanted", job)


def withdraw(job: str) -> None:
    """Forget the request, as the job is wanted again; also workers that were told to revoke it learn that."""
    with redis.client().pipeline() as pipe:
        pipe.delete(events.cancel_key(job))
        pipe.set(_wanted(job), 1, ex=WANTED_KEPT)
        pipe.execute()


def is_wanted(job: str) -> bool:
    """Return whether the job was cancelled and is wanted again since."""
    return bool(redis.client().exists(_wanted(job)))


def requested(job: str) -> dict[str, Any] | None:
    """Return who asked to cancel the job (`by`) and when (`at`, seconds since 1970), None if nobody did."""
    text: Any = redis.client().get(events.cancel_key(job))
    return json.loads(text) if text else None

"""Asks a job to stop, and lets the job notice: certain before its start, at its next progress call after it."""

import json
import time
from typing import Any

from common import events, redis
from common.conf import settings

# In one step, so that a job cannot start in between: from now on whoever starts it finds the request.
_CANCEL = """
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
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
    keys = [events.cancel_key(job), events.running_key(job)]
    running = bool(redis.script(_CANCEL)(keys, [text, settings.CANCEL_KEPT], client=redis.client()))
    if not running:
        events.emit("finished", job, state="cancelled", execution=None, error=f"Cancelled by {by} before it started.")
    return running


def withdraw(job: str) -> None:
    """Forget the request, as the job is wanted again."""
    redis.client().delete(events.cancel_key(job))


def requested(job: str) -> dict[str, Any] | None:
    """Return who asked to cancel the job (`by`) and when (`at`, seconds since 1970), None if nobody did."""
    text: Any = redis.client().get(events.cancel_key(job))
    return json.loads(text) if text else None

"""Asks a job to stop, and lets the job notice: certain before its start, at its next progress call after it."""

import json
import time
from collections.abc import Sequence
from typing import Any

from jobroom import events, redis
from jobroom.celery import delayed
from jobroom.conf import settings
from jobroom.lua_scripts import source

# A worker remembers for three hours what it was asked to revoke (celery.worker.state.REVOKE_EXPIRES).
WANTED_KEPT = 4 * 3600
# Jobs that are asked in one round trip.
CHUNK = 500
_CANCEL = source("jobroom.events", "cancel")


class JobCancelled(BaseException):
    """Ends a job that was asked to stop. Not an Exception, so that a task's own `except Exception` lets it pass."""

    def __init__(self, request: str) -> None:
        asked: dict[str, Any] = json.loads(request)
        self.by = str(asked.get("by") or "someone")
        super().__init__(f"Cancelled by {self.by}.")


def request(job: str, by: str) -> bool:
    """Ask the job to stop; return True if it runs and has to notice, False if it will not start any more."""
    return bool(request_all([job], by))


def request_all(jobs: Sequence[str], by: str) -> set[str]:
    """Ask jobs to stop, CHUNK of them a round trip; return the ids of those that run and have to notice.

    The others will not start any more, and their end is reported here. Raises redis errors; what was asked before stays asked.
    """
    running: set[str] = set()
    for start in range(0, len(jobs), CHUNK):
        chunk = jobs[start : start + CHUNK]
        run = _ask(chunk, by)
        running |= run
        delayed.remove(*(job for job in chunk if job not in run))
        ended = {"state": "cancelled", "execution": None, "error": f"Cancelled by {by} before it started."}
        events.emit_all([("finished", job, ended) for job in chunk if job not in run])
    return running


def _ask(jobs: Sequence[str], by: str) -> set[str]:
    text, script = json.dumps({"by": by, "at": time.time()}), redis.script(_CANCEL)
    with redis.client().pipeline(transaction=False) as pipe:
        for job in jobs:
            keys = [events.cancel_key(job), events.running_key(job), _wanted(job)]
            script(keys, [text, settings.CANCEL_KEPT], client=pipe)
        return {job for job, runs in zip(jobs, pipe.execute(), strict=True) if runs}


def _wanted(job: str) -> str:
    return redis.key("wanted", job)


def withdraw(job: str) -> None:
    """Forget the request, as the job is wanted again; also workers that were asked to revoke it learn that."""
    withdraw_all([job])


def withdraw_all(jobs: Sequence[str]) -> None:
    """Forget the requests of jobs that are wanted again, CHUNK of them a round trip."""
    for start in range(0, len(jobs), CHUNK):
        with redis.client().pipeline() as pipe:
            for job in jobs[start : start + CHUNK]:
                pipe.delete(events.cancel_key(job))
                pipe.set(_wanted(job), 1, ex=WANTED_KEPT)
            pipe.execute()


def is_wanted(job: str) -> bool:
    """Return whether the job was cancelled and is wanted again since."""
    return bool(redis.client().exists(_wanted(job)))


def requested(job: str) -> dict[str, Any] | None:
    """Return who asked to cancel the job (`by`) and when (`at`, seconds since 1970), None if no one did."""
    text: Any = redis.client().get(events.cancel_key(job))
    return json.loads(text) if text else None

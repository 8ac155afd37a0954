"""The worker's side of `debounce=`: of several calls only the last one runs.

A worker that receives such a job asks one script. The job is kept among the messages for later until its time, and the one that
was kept before it goes on at once: it starts, learns that a later call has taken its place, and ends as skipped. So whatever
hangs on it ends as with a busy exclusive task, and no job is without a message, whenever a worker is killed. Keys:

    debounce:<group>    hash: the job that waits, since when the first one does, when it is due
    debounce:waits      hash: job → the group in which it waits
    debounced:<job>     what was decided: empty for one that runs, else the job that has taken its place
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django.utils import timezone

from jobroom import redis
from jobroom.conf import settings
from jobroom.locks.debounce import Debounced
from jobroom.lua_scripts import source

_DEBOUNCE = source("jobroom.celery", "debounce")
# Seconds for which a decision is remembered: a message that comes twice is decided once.
REMEMBERED = 24 * 3600


def put_off(found: Debounced, job: str, text: str, key: str) -> bool:
    """Keep a job until its time, and let go on what it takes the place of; return False where it may start."""
    said = found.declared
    values = [
        settings.REDIS_PREFIX, f"{found.name}:{key}" if key else found.name, job, text, said.seconds, said.at_most,
        settings.SENT_BEFORE, REMEMBERED,
    ]  # fmt: skip
    return not redis.evaluate(redis.script(_DEBOUNCE), [], values)


def taken_over_by(job: str) -> str:
    """Return the job that has taken the place of this one, empty for one that runs; raises the errors of Redis."""
    return str(redis.client().get(redis.key("debounced", job)) or "")


def sentences(jobs: list[str]) -> dict[str, str]:
    """Return for those of the jobs that wait for a last call why; raises the errors of Redis."""
    found: Any = redis.client().hmget(redis.key("debounce", "waits"), jobs)
    waits = {job: group for job, group in zip(jobs, found, strict=True) if group}
    with redis.client().pipeline(transaction=False) as together:
        for group in waits.values():
            together.hgetall(redis.key("debounce", group))
        states: Any = together.execute()
    rows = zip(waits, states, strict=True)
    return {job: _sentence(state) for job, state in rows if state.get("job") == job}


def _sentence(state: Mapping[str, str]) -> str:
    due = timezone.localtime(datetime.fromtimestamp(float(state["due"]), UTC))
    return f"it waits for the last of several calls: it runs at {due:%H:%M:%S %Z} unless another one takes its place"

"""Waits for the end of a job, with a thread or without one.

The caller that waits listens to the job's topic and looks at the job when its end is published. What is published while Redis restarts is not
heard, so they look now and then all the same; those of one event loop together, in one question to the database.
"""

import asyncio
import json
import logging
import time
import weakref
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

from django.db import DatabaseError

from jobroom.events import consumer
from jobroom.exceptions import RedisUnavailable
from jobroom.jobs import current_state
from jobroom.jobs.models import FINISHED, Job
from jobroom.live.follow import follow
from jobroom.live.wait import Waiter, waiter
from jobroom.web.handler import has_threads, in_thread

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Seconds after which one looks anyway.
AT_LEAST = 5.0
# Seconds between two looks of a thread that waits, and the longest time by which it is late.
_BLOCKED, _LATE = 1.0, 0.2
# Most jobs that one statement asks for.
_CHUNK = 500


def reports_end(kind: str, text: str) -> bool:
    """Return whether a message of a job's topic (its type, and all of it) reports the end of the job."""
    return kind == "state" and json.loads(text).get("state") in FINISHED


def over(ids: Collection[str], since: float) -> set[str]:
    """Return those of the jobs that have ended, or are in no database; nothing happened to any of them before `since`."""
    ended = _unrecorded_ends(since) & set(
        ids
    )  # first the stream, as in `jobroom.jobs.current_state`: what is not there any more is in the database
    known = Job.objects.filter(pk__in=ids).exclude(state__in=FINISHED).values_list("pk", flat=True)
    return ended | (set(ids) - set(known))


def _unrecorded_ends(since: float) -> set[str]:
    """Return the jobs whose end is in the stream and not recorded yet."""
    try:
        entries = consumer.all_unrecorded(current_state.LOOKED_AT, since)
    except RedisUnavailable:
        return set()
    found = (json.loads(entry.text) for entry in entries if '"finished"' in entry.text)
    return {str(event.get("job")) for event in found if event.get("type") == "finished"}


def blocked(job: Job, seconds: float) -> Job:
    """Return the job as it is when it has ended, or after `seconds`; the calling thread is held as long."""
    end = time.monotonic() + seconds
    try:
        return _followed(job, end)
    except RedisUnavailable:
        return _polled(job, end)


def _followed(job: Job, end: float) -> Job:
    pause = min(_LATE, max(0.001, end - time.monotonic()))
    with follow(f"job:{job.pk}", pause) as events:
        now, looked = _now(job), time.monotonic()
        while not now.is_finished and time.monotonic() < end:
            event = next(events)
            if (event and event.get("type") == "finished") or time.monotonic() - looked > _BLOCKED:
                now, looked = _now(job), time.monotonic()
        return now if now.is_finished else _now(job)


def _polled(job: Job, end: float) -> Job:
    while not (now := _now(job)).is_finished and (left := end - time.monotonic()) > 0:
        time.sleep(min(left, _BLOCKED))
    return now


def _now(job: Job) -> Job:
    """Return the job as it is now; one that was deleted meanwhile stays what it was."""
    return current_state.job(job.pk, since=job.created_at.timestamp()) or job


async def awaited(job: Job, seconds: float, look: Callable[[], tuple[T, bool]]) -> T:
    """Return what `look` makes of the job when it says that the job is over, or after `seconds`.

    `look` runs in a thread, the waiting in the event loop.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    async with waiter(f"job:{job.pk}", rings=reports_end) as rings, _looked_after(job, rings) as pause:
        while True:
            await rings.wait(min(end - loop.time(), pause))
            seen, done = await in_thread(look)
            if done or loop.time() >= end:
                return seen


async def ended(job: Job, seconds: float) -> Job:
    """Return the job as it is when it has ended, or after `seconds`."""

    def look() -> tuple[Job, bool]:
        now = _now(job)
        return now, now.is_finished

    return await awaited(job, seconds, look)


class Round:
    """Asks for all who wait in this event loop: at once for those who have just come, now and then for all."""

    def __init__(self) -> None:
        self.waiters: dict[Waiter, Job] = {}
        self._new: list[Waiter] = []
        self._came = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def add(self, one: Waiter, job: Job) -> None:
        """Look after one more, whose job may have ended before anyone listened."""
        self.waiters[one] = job
        self._new.append(one)
        self._came.set()
        if self._task is None:
            self._task = asyncio.create_task(self._go())

    async def remove(self, one: Waiter) -> None:
        """Look after one less; ends with the last."""
        self.waiters.pop(one, None)
        if not self.waiters and self._task is not None:
            task, self._task = self._task, None
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _go(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(AT_LEAST):
                    await self._came.wait()
            new, self._new = self._new, []
            self._came.clear()
            # Those who come while it asks are the next question: a thousand at once are a handful of them.
            waiters = [one for one in new or list(self.waiters) if one in self.waiters]
            for first in range(0, len(waiters), _CHUNK):
                await self._look(waiters[first : first + _CHUNK])

    async def _look(self, waiters: list[Waiter]) -> None:
        jobs = {self.waiters[one].pk: self.waiters[one] for one in waiters if one in self.waiters}
        if not jobs:
            return
        try:
            found = await in_thread(over, list(jobs), min(job.created_at.timestamp() for job in jobs.values()))
        except DatabaseError as error:
            logger.warning("Waiting for jobs: the database is unavailable: %s", error)
            return
        except Exception:  # the boundary: without the round all who wait would hear of ends by their topics alone
            logger.exception("Waiting for jobs failed in this round; the next one tries again")
            return
        for one in waiters:
            if one in self.waiters and self.waiters[one].pk in found:
                one.ring()


_rounds: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Round]" = weakref.WeakKeyDictionary()


@asynccontextmanager
async def _looked_after(job: Job, one: Waiter) -> AsyncIterator[float]:
    """Let the round of this loop look after the job; give the longest time that one may sleep all the same."""
    if not has_threads():
        one.ring()
        yield AT_LEAST  # not in a server: there are few who wait, and each looks itself
        return
    current = _rounds.setdefault(asyncio.get_running_loop(), Round())
    current.add(one, job)
    try:
        yield float("inf")
    finally:
        await current.remove(one)

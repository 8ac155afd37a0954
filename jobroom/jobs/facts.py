"""Why a job is where it is: the sentences that its page, `manage.py show` and the API have in common."""

import datetime
from typing import NamedTuple

from django.utils import timezone

from jobroom import locks
from jobroom.exceptions import RedisUnavailable
from jobroom.jobs.models import Job, State
from jobroom.jobs.queue_position import waiting
from jobroom.locks import Broken


class Fact(NamedTuple):
    """One sentence about a job; `kind` is what it is about: waiting, lock, broken or cancel."""

    kind: str
    text: str


def facts(job: Job) -> list[Fact]:
    """Return why the job waits and who is in front, for which lock, and which locks were taken from it."""
    if job.is_finished:
        return _broken(job)
    return [*_waiting(job), *_lock(job), *_broken(job), *_cancelled(job)]


def locks_taken_from(job: Job) -> list[Broken]:
    """Return the locks that an operator took from a job while it ran; none when Redis does not answer."""
    if job.started_at is None:
        return []
    try:
        return locks.broken_of(job.pk)
    except RedisUnavailable:
        return []


def _waiting(job: Job) -> list[Fact]:
    if job.state in (State.SCHEDULED, State.RETRYING) and job.run_after:
        return [Fact("waiting", f"It runs not before {_moment(job.run_after)}.")]
    place = waiting([job]).get(job.pk)
    if place is None:
        return []
    return [Fact("waiting", place.reason)]


def _lock(job: Job) -> list[Fact]:
    if not job.lock:
        return []
    try:
        holder = locks.holder(job.lock)
    except RedisUnavailable:
        held = f", held by job {job.holder}" if job.holder else ""
        return [Fact("lock", f"It waits for the lock {job.lock}{held}; Redis does not answer now.")]
    if holder is None:
        return [Fact("lock", f"It waits for the lock {job.lock}, which is free: it is its turn at its next try.")]
    who = f"job {holder.job}" if holder.job else f"{holder.task or 'a process'} on {holder.host}"
    since = datetime.datetime.fromtimestamp(holder.since, tz=datetime.UTC)
    return [Fact("lock", f"It waits for the lock {job.lock}, held by {who} since {_moment(since)}.")]


def _broken(job: Job) -> list[Fact]:
    return [Fact("broken", broken_sentence(job, entry)) for entry in locks_taken_from(job)]


def broken_sentence(job: Job, entry: Broken) -> str:
    """Return who took which lock when and why, and what it means."""
    at = datetime.datetime.fromtimestamp(entry.at, tz=datetime.UTC)
    meaning = "" if job.is_finished else " The job goes on until it asks for the lock; another job may hold it by now."
    return f"{entry.by} broke its lock {entry.holder.name} at {_moment(at)}: {entry.reason}.{meaning}"


def _cancelled(job: Job) -> list[Fact]:
    if not job.cancel_by:
        return []
    return [Fact("cancel", f"{job.cancel_by} asked to cancel it.")]


def _moment(moment: datetime.datetime) -> str:
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M:%S %Z}"

"""Sentences that explain why a job is where it is, shared by its page, `manage.py show` and the API."""

import datetime
from collections.abc import Iterable
from typing import NamedTuple

from django.template.defaultfilters import filesizeformat
from django.utils import timezone

from jobroom import locks
from jobroom.exceptions import RedisUnavailable
from jobroom.jobs import lateness
from jobroom.jobs.models import Job, State
from jobroom.jobs.number_formats import duration, percent
from jobroom.jobs.why_it_waits import why
from jobroom.locks import Broken


class Fact(NamedTuple):
    """One sentence about a job; `kind` is what it is about: late, waiting, broken or cancel."""

    kind: str
    text: str


def facts(job: Job) -> list[Fact]:
    """Return whether it is late, why the job waits, which locks were taken from it, and who asked to cancel it."""
    if job.is_finished:
        return _broken(job)
    return [*_late(job), *_waiting(job), *_broken(job), *_cancelled(job)]


class Stead(NamedTuple):
    """Why a job did nothing itself: the word for its badge, what it means, and its icon."""

    word: str
    text: str
    icon: str


_BATCH = Stead("In a batch", "Its call was one of a batch, which another job ran", "batch")
_SUPERSEDED = Stead("Superseded", "A later call took its place, so it did nothing", "superseded")


def instead_of(jobs: Iterable[Job]) -> dict[str, Stead]:
    """Return for those of the jobs that another job did the work of, or took the place of, how; by their ids.

    Lists leave out the columns that say so: they are asked for of these jobs alone, and of the others nothing is.
    """
    known = list(jobs)
    answered = {job.pk: job for job in known if job.is_answered}
    skipped = [job.pk for job in known if job.state == State.SKIPPED and not (job.lock or job.answer_of)]
    found = {pk: _from_cache(job) for pk, job in answered.items() if job.state == State.SUCCEEDED}
    if answered:
        batched = Job.objects.filter(pk__in=answered, facts__answered__batch=True)
        found |= dict.fromkeys(batched.values_list("pk", flat=True), _BATCH)
    if skipped:
        results = Job.objects.filter(pk__in=skipped).only("state", "result")
        found |= {job.pk: _SUPERSEDED for job in results if job.is_superseded}
    return found


def _from_cache(job: Job) -> Stead:
    of = "another job" if job.likeness is None else f"a near-duplicate ({percent(job.likeness)})"
    return Stead("From cache", f"The answer of {of}", "cache")


def last_report(job: Job) -> str:
    """Return what the process of a lost job said last: when, how far it was, and its memory; empty where it said nothing."""
    said = job.progress or {}
    if job.state != State.LOST or said.get("execution") != job.execution or "at" not in said:
        return ""
    before = (
        f" {duration(ended.timestamp() - said['at'])} before its end was noticed" if (ended := job.finished_at) else ""
    )
    far = f" it was at {percent(said['fraction'])}" if said.get("fraction") is not None else ""
    memory = f" its process used {filesizeformat(said['memory'])} of memory" if said.get("memory") else ""
    what = " and".join(filter(None, (far, memory)))
    return f"When it last reported,{before}{',' if before else ''}{what}." if what else ""


def killed_by_signal(job: Job) -> bool:
    """Return whether its process was ended by the signal that the system sends when memory runs out."""
    return job.state == State.LOST and "SIGKILL" in job.error


def locks_taken_from(job: Job) -> list[Broken]:
    """Return the locks that an operator took from a job while it ran; none when Redis does not answer."""
    if job.started_at is None:
        return []
    try:
        return locks.broken_of(job.pk)
    except RedisUnavailable:
        return []


def _late(job: Job) -> list[Fact]:
    return [Fact("late", text) for text in lateness.sentences(job)]


def _waiting(job: Job) -> list[Fact]:
    if job.state in (State.SCHEDULED, State.RETRYING) and job.run_after:
        return [Fact("waiting", f"It runs not before {_moment(job.run_after)}.")]
    reason = why(job, None)
    return [Fact("waiting", reason.said)] if reason is not None else []


def _broken(job: Job) -> list[Fact]:
    return [Fact("broken", broken_sentence(job, entry)) for entry in locks_taken_from(job)]


def broken_sentence(job: Job, entry: Broken, *, readable: bool = True) -> str:
    """Return who took which lock when and why, and what it means.

    Who may not read the arguments of the job gets no name of a lock, which may hold one, and no reason, which may name it.
    """
    at = datetime.datetime.fromtimestamp(entry.at, tz=datetime.UTC)
    meaning = "" if job.is_finished else " The job goes on until it asks for the lock; another job may hold it by now."
    if not readable:
        return f"{entry.by} broke its lock at {_moment(at)}.{meaning}"
    return f"{entry.by} broke its lock {entry.holder.name} at {_moment(at)}: {entry.reason}.{meaning}"


def _cancelled(job: Job) -> list[Fact]:
    if not job.cancel_by:
        return []
    return [Fact("cancel", f"{job.cancel_by} asked to cancel it.")]


def _moment(moment: datetime.datetime) -> str:
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M:%S %Z}"

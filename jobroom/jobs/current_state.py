"""Reads one job's current state: the database, and the events that are not recorded yet."""

import logging
from datetime import datetime

from django.contrib.auth.models import AnonymousUser
from django.utils import timezone

from jobroom.events import consumer
from jobroom.events.consumer import Entry
from jobroom.exceptions import RedisUnavailable
from jobroom.jobs import policies
from jobroom.jobs.exceptions import InvalidEvent
from jobroom.jobs.models import Job, StoredFile
from jobroom.jobs.querysets import JobQuerySet
from jobroom.jobs.recorder.job_state import conclude
from jobroom.jobs.recorder.parse import LIFE, Event, parse
from jobroom.jobs.recorder.state_machine import Life
from jobroom.users import User

logger = logging.getLogger(__name__)

# When the recorder is further behind than so many events, the database alone is shown, as old as it is.
LOOKED_AT = 5000


def job(job_id: str, *, since: float = 0.0, rows: JobQuerySet | None = None) -> Job | None:
    """Return the job as it is now, None when no one has heard of it.

    The object is to be shown, not to be saved: what is not in the database is the recorder's to write. Who knows that nothing
    happened to the job before `since` (seconds since 1970) spares a long look at what is not recorded yet. With `rows` only those
    are looked at.
    """
    job_id = job_id.replace("\x00", "")
    if not 0 < len(job_id) <= 255:
        return None
    # First the stream: an entry that is recorded in between is then in the database, and applying it again changes nothing.
    news = _news(job_id, since)
    rows = Job.objects.all() if rows is None else rows
    found = rows.select_related("owner").filter(pk=job_id).first()
    return _with(found, news, timezone.now()) if news else found


def whose(job_id: str, rows: JobQuerySet) -> Job | None:
    """Return the job with its owner and its task, on which all rights to it hang; the rest may be as old as the database.

    These two never change, so what is not recorded yet is looked through only for jobs that are not among `rows`: those that
    the database does not know, and those that are hidden from who asks.
    """
    found = rows.only("owner_id", "task").filter(pk=job_id.replace("\x00", "")).first()
    return found if found is not None and found.task else job(job_id, rows=rows)


def visible_job(job_id: str, user: User | AnonymousUser) -> Job | None:
    """Return the job as it is now, None also when `user` may not see it.

    A hidden row is not read: to look for it costs what it costs to look for one that there is not.
    """
    found = job(job_id, rows=Job.objects.visible_to(user))
    return found if found is not None and policies.may_see(user, found) else None


def _news(job_id: str, since: float) -> list[Event]:
    try:
        entries = consumer.unrecorded(job_id, LOOKED_AT, since)
    except RedisUnavailable:
        return []
    found = [event for entry in entries if (event := _parsed(entry)) is not None]
    return [event for event in found if event.type in LIFE and event.job == job_id]


def _parsed(entry: Entry) -> Event | None:
    try:
        return parse(entry)
    except InvalidEvent:
        return None  # the recorder says so


def _with(found: Job | None, news: list[Event], now: datetime) -> Job:
    known = found or Job(pk=news[0].job, created_at=news[0].at)
    attempts = {attempt.execution: attempt for attempt in known.attempt_set.all()} if found else {}
    life = Life(known, attempts, found is None, found.state if found else "")
    for event in news:
        life.apply(event)
    conclude(life, now)
    life.job.unrecorded_files = life.files
    life.job.known_attempts = tuple(life.attempts.values())
    return life.job


def files_of(job: Job) -> list[StoredFile]:
    """Return the files that the job made, or that came with the answer it got, also those that no recorder has written.

    Their rows are written here then, as the recorder would: what is shown can be fetched at once.
    """
    if job.unrecorded_files:
        StoredFile.objects.bulk_create(job.unrecorded_files, ignore_conflicts=True)
    return list(StoredFile.objects.made_by(job))

"""Reads one job exactly: the book, and what happened since and is not in the book yet."""

import logging
from datetime import datetime

from django.contrib.auth.models import AnonymousUser, User
from django.utils import timezone

from common import stream
from common.exceptions import RedisUnavailable
from common.stream import Entry
from jobs import policies
from jobs.exceptions import InvalidEvent
from jobs.models import Job
from jobs.recorder.life import Life, conclude
from jobs.recorder.parse import LIFE, Event, parse

logger = logging.getLogger(__name__)

# When the recorder is further behind than so many events, the book alone is shown, as old as it is.
LOOKED_AT = 5000


def job(job_id: str, *, since: float = 0.0) -> Job | None:
    """Return the job as it is now, None when nobody has heard of it.

    The object is to be shown, not to be saved: what is not in the book is the recorder's to write. Who knows that nothing
    happened to the job before `since` (seconds since 1970) spares a long look at what is not in the book yet.
    """
    job_id = job_id.replace("\x00", "")
    if not 0 < len(job_id) <= 255:
        return None
    # First the stream: an entry that is recorded in between is then in the book, and applying it again changes nothing.
    news = _news(job_id, since)
    found = Job.objects.select_related("owner").filter(pk=job_id).first()
    return _with(found, news, timezone.now()) if news else found


def whose(job_id: str) -> Job | None:
    """Return the job with its owner and its task, on which all rights to it hang; the rest may be as old as the book.

    These two never change, so what is not in the book yet is looked through only for jobs that the book does not know.
    """
    found = Job.objects.only("owner_id", "task").filter(pk=job_id.replace("\x00", "")).first()
    return found if found is not None and found.task else job(job_id)


def visible_job(job_id: str, user: User | AnonymousUser) -> Job | None:
    """Return the job as it is now, None also when `user` may not see it."""
    found = job(job_id)
    return found if found is not None and policies.may_see(user, found) else None


def _news(job_id: str, since: float) -> list[Event]:
    try:
        entries = stream.unrecorded(job_id, LOOKED_AT, since)
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
    return life.job

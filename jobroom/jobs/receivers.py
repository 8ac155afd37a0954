"""Receivers of signals in the jobs app: they notify open pages, settle cached results, send what is due, and recheck rights."""

import logging
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any

from celery.exceptions import OperationalError
from django.db import transaction
from django.db.models.signals import post_save
from django.urls import reverse

from jobroom import redis
from jobroom.events.consumer import Mark
from jobroom.exceptions import RedisUnavailable
from jobroom.housekeeping_loops import Every
from jobroom.jobs import (
    cache_settlement,
    durations,
    failures,
    lateness,
    launches,
    rights_at_start,
    staged_retries,
    wait_reason_updates,
)
from jobroom.jobs.models import Job
from jobroom.jobs.number_formats import number_of
from jobroom.jobs.signals import attention_asked
from jobroom.live.publish import publish, watched
from jobroom.signals import cancel_asked, glance, housekeeping, jobs_recorded, start_asked
from jobroom.users import User

logger = logging.getLogger(__name__)

# Least time in seconds between two words to all lists of jobs.
LISTS_PAUSE = 0.5
_CHANGED = {"type": "changed", "seq": 0}
# Jobs that one statement asks for.
_AT_ONCE = 500
Whose = tuple[str, int | None]  # the task of a job and its owner


def connect() -> None:
    """Connect the receivers; twice is the same as once."""
    housekeeping.connect(_send_due, dispatch_uid="jobroom.jobs.send_due")
    housekeeping.connect(_sweep_answers, dispatch_uid="jobroom.jobs.sweep_answers")
    housekeeping.connect(_group_older, dispatch_uid="jobroom.jobs.group_older")
    housekeeping.connect(_go_on, dispatch_uid="jobroom.jobs.staged_retries")
    housekeeping.connect(_roll_up, dispatch_uid="jobroom.jobs.durations")
    housekeeping.connect(_look_for_late, dispatch_uid="jobroom.jobs.lateness")
    glance.connect(_look_at_waits, dispatch_uid="jobroom.jobs.waits")
    attention_asked.connect(_late_jobs, dispatch_uid="jobroom.jobs.late")
    jobs_recorded.connect(_settle, dispatch_uid="jobroom.jobs.settle")
    jobs_recorded.connect(_recorded, dispatch_uid="jobroom.jobs.recorded")
    start_asked.connect(rights_at_start.refused_at_start, dispatch_uid="jobroom.jobs.start_asked")
    cancel_asked.connect(_asked, dispatch_uid="jobroom.jobs.asked")
    post_save.connect(_launched, sender=Job, dispatch_uid="jobroom.jobs.launched")


def _send_due(mark: Mark | None = None, **_: Any) -> None:
    try:
        launches.send_due(until=mark.moment if mark is not None else None)
    except (redis.Error, OSError) as error:
        logger.warning("Jobs whose message was not sent wait for Redis: %s", error)


def _sweep_answers(**_: Any) -> None:
    cache_settlement.safely()


def _group_older(**_: Any) -> None:
    failures.group_older()


# A recorder that has just started looks at once.
late = Every(lateness.PAUSE)


def _look_for_late(**_: Any) -> None:
    if late.take():
        lateness.look()


slots = Every(durations.PAUSE)


def _roll_up(**_: Any) -> None:
    if slots.take():
        durations.roll_up()


waits = Every(wait_reason_updates.PAUSE)
reasons = wait_reason_updates.Reasons()


def _look_at_waits(**_: Any) -> None:
    try:
        if waits.take():
            reasons.look()
    except (redis.Error, RedisUnavailable, OSError):
        return  # pages look by themselves while Redis is away


def _late_jobs(user: User, **_: Any) -> list[tuple[str, str]]:
    """Return how many jobs that the person may see are late, will be, run longer than usual or are silent."""
    found = lateness.numbers(Job.objects.visible_to(user))
    address = reverse("jobroom:jobs:jobs")
    words = {"late": "late, or will be", "long": "running longer than usual", "silent": "silent"}
    return [
        (f"{number_of(found[kind], 'job', 'jobs')} {text}", f"{address}?late={kind}")
        for kind, text in words.items()
        if found.get(kind)
    ]


def _go_on(mark: Mark | None = None, **_: Any) -> None:
    try:
        staged_retries.go_on(mark.moment if mark is not None else None)
    except (redis.Error, RedisUnavailable, OSError) as error:
        logger.warning("Retries in stages wait for Redis: %s", error)


def _settle(ended: list[tuple[str, str, str]], **_: Any) -> None:
    """Give those who wait for the jobs their ends; what is out of reach now, housekeeping does."""
    try:
        cache_settlement.settle_all(ended)
    except (redis.Error, OSError, OperationalError) as error:
        logger.warning("Waiting for finished jobs: Redis is unavailable: %s", error)


def _recorded(job_ids: list[str], **_: Any) -> None:
    """Notify anyone who looks that pages made from the database say something new now; nothing is sent where no one looks."""
    looked_at = watched([*(f"job:{job_id}" for job_id in job_ids), "jobs"])
    publish((topic, _CHANGED) for topic in looked_at if topic != "jobs")
    if "jobs" in looked_at:
        lists.changed(whose(job_ids))


def _asked(job_ids: list[str], **_: Any) -> None:
    # A cancelled workflow asks thousands at once, of which hardly any page is open.
    try:
        _recorded(job_ids)
    except (redis.Error, OSError):
        return  # pages look by themselves while Redis is away


def _launched(instance: Job, **_: Any) -> None:
    if instance.is_finished:
        return  # the event that reports its end says more
    transaction.on_commit(lambda: _publish([instance.pk], {(instance.task, instance.owner_id)}), robust=True)


def _publish(job_ids: Sequence[str], found: set[Whose]) -> None:
    try:
        publish([*((f"job:{job_id}", _CHANGED) for job_id in job_ids), ("jobs", _of(found))])
    except (redis.Error, OSError):
        return  # pages look by themselves while Redis is away


def whose(job_ids: Sequence[str]) -> set[Whose]:
    """Return the tasks and the owners of jobs, on which hangs who may see something of them."""
    found: set[Whose] = set()
    for start in range(0, len(job_ids), _AT_ONCE):
        rows = Job.objects.filter(pk__in=job_ids[start : start + _AT_ONCE]).order_by()
        found.update(rows.values_list("task", "owner_id").distinct())
    return found


def _of(found: set[Whose]) -> dict[str, Any]:
    """Return the word that jobs of these tasks and owners have changed."""
    return {**_CHANGED, "of": sorted(found, key=str)}


class Lists:
    """Notifies the lists of jobs that something changed: at once, then at most every LISTS_PAUSE seconds, the last always."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._published = float("-inf")  # on the monotonic clock, which begins with the machine
        self._timer: threading.Timer | None = None
        self._whose: set[Whose] = set()

    def changed(self, whose: Iterable[Whose] = ()) -> None:
        """Notify now, or when the pause is over, that jobs of these tasks and owners have changed."""
        with self._lock:
            self._whose.update(whose)
            if self._timer is not None:
                return
            wait = self._published + LISTS_PAUSE - time.monotonic()
            if wait > 0:
                self._timer = threading.Timer(wait, self._after_pause)
                self._timer.daemon = True
                self._timer.start()
                return
            self._published = time.monotonic()
        self._publish()

    def _after_pause(self) -> None:
        with self._lock:
            self._timer = None
            self._published = time.monotonic()
        self._publish()

    def _publish(self) -> None:
        with self._lock:
            found, self._whose = self._whose, set()
        try:
            publish([("jobs", _of(found))])
        except (redis.Error, OSError):
            return  # pages look by themselves while Redis is away


lists = Lists()

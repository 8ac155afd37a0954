"""What the jobs app does when others tell something."""

import logging
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any

from celery.exceptions import OperationalError
from django.db import transaction
from django.db.models.signals import post_save

from jobroom import redis
from jobroom.events.consumer import Mark
from jobroom.jobs import later, launches, result_cache
from jobroom.jobs.models import Job
from jobroom.live.publish import publish, watched
from jobroom.signals import cancel_asked, housekeeping, jobs_recorded, start_asked

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
    jobs_recorded.connect(_settle, dispatch_uid="jobroom.jobs.settle")
    jobs_recorded.connect(_recorded, dispatch_uid="jobroom.jobs.recorded")
    start_asked.connect(later.refused_at_start, dispatch_uid="jobroom.jobs.start_asked")
    cancel_asked.connect(_asked, dispatch_uid="jobroom.jobs.asked")
    post_save.connect(_launched, sender=Job, dispatch_uid="jobroom.jobs.launched")


def _send_due(mark: Mark | None = None, **_: Any) -> None:
    try:
        launches.send_due(until=mark.moment if mark is not None else None)
    except (redis.Error, OSError) as error:
        logger.warning("Jobs whose message was not sent wait for Redis: %s", error)


def _sweep_answers(**_: Any) -> None:
    result_cache.safely()


def _settle(ended: list[tuple[str, str, str]], **_: Any) -> None:
    """Give those who wait for the jobs their ends; what is out of reach now, housekeeping does."""
    try:
        result_cache.settle_all(ended)
    except (redis.Error, OSError, OperationalError) as error:
        logger.warning("Waiting for finished jobs: Redis is unavailable: %s", error)


def _recorded(job_ids: list[str], **_: Any) -> None:
    """Tell anyone who looks that pages made from the database say something new now; nothing is sent where no one looks."""
    looked_at = watched([*(f"job:{job_id}" for job_id in job_ids), "jobs"])
    publish((topic, _CHANGED) for topic in looked_at if topic != "jobs")
    if "jobs" in looked_at:
        lists.changed(whose(job_ids))


def _asked(job_ids: list[str], **_: Any) -> None:
    _tell(job_ids, whose(job_ids))


def _launched(instance: Job, **_: Any) -> None:
    if instance.is_finished:
        return  # the event that tells its end says more
    transaction.on_commit(lambda: _tell([instance.pk], {(instance.task, instance.owner_id)}), robust=True)


def _tell(job_ids: Sequence[str], found: set[Whose]) -> None:
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
    """Tells the lists of jobs that something changed: at once, then at most every LISTS_PAUSE seconds, the last always."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told = 0.0
        self._timer: threading.Timer | None = None
        self._whose: set[Whose] = set()

    def changed(self, whose: Iterable[Whose] = ()) -> None:
        """Tell now, or when the pause is over, that jobs of these tasks and owners have changed."""
        with self._lock:
            self._whose.update(whose)
            if self._timer is not None:
                return
            wait = self._told + LISTS_PAUSE - time.monotonic()
            if wait > 0:
                self._timer = threading.Timer(wait, self._tell)
                self._timer.daemon = True
                self._timer.start()
                return
            self._told = time.monotonic()
        self._publish()

    def _tell(self) -> None:
        with self._lock:
            self._timer = None
            self._told = time.monotonic()
        self._publish()

    def _publish(self) -> None:
        with self._lock:
            found, self._whose = self._whose, set()
        try:
            publish([("jobs", _of(found))])
        except (redis.Error, OSError):
            return  # pages look by themselves while Redis is away


lists = Lists()

"""What the jobs app does when others tell something."""

import logging
import threading
import time
from typing import Any

from celery.exceptions import OperationalError
from django.db import transaction
from django.db.models.signals import post_save

from common import redis
from common.signals import cancel_asked, housekeeping, jobs_recorded
from jobs import answers, launching
from jobs.models import Job
from live.publish import publish, watched

logger = logging.getLogger(__name__)

# Least time in seconds between two words to all lists of jobs.
LISTS_PAUSE = 0.5
_CHANGED = {"type": "changed", "seq": 0}


def connect() -> None:
    """Connect the receivers; twice is the same as once."""
    housekeeping.connect(_send_due, dispatch_uid="jobs.send_due")
    housekeeping.connect(_sweep_answers, dispatch_uid="jobs.sweep_answers")
    jobs_recorded.connect(_settle, dispatch_uid="jobs.settle")
    jobs_recorded.connect(_recorded, dispatch_uid="jobs.recorded")
    cancel_asked.connect(_asked, dispatch_uid="jobs.asked")
    post_save.connect(_launched, sender=Job, dispatch_uid="jobs.launched")


def _send_due(**_: Any) -> None:
    launching.send_due()


def _sweep_answers(**_: Any) -> None:
    answers.safely()


def _settle(ended: list[tuple[str, str, str]], **_: Any) -> None:
    """Give those who wait for the jobs their ends; what is out of reach now, housekeeping does."""
    try:
        answers.settle_all(ended)
    except (redis.Error, OSError, OperationalError) as error:
        logger.warning("Those who wait for jobs that have ended wait for Redis: %s", error)


def _recorded(job_ids: list[str], **_: Any) -> None:
    """Tell whoever looks that pages made from the book say something new now; nothing is sent where nobody looks."""
    looked_at = watched([f"job:{job_id}" for job_id in job_ids])
    if looked_at:
        publish((topic, _CHANGED) for topic in looked_at)
    lists.changed()


def _asked(job_id: str, **_: Any) -> None:
    _tell(job_id)


def _launched(instance: Job, **_: Any) -> None:
    if instance.is_finished:
        return  # the event that tells its end says more
    transaction.on_commit(lambda: _tell(instance.pk), robust=True)


def _tell(job_id: str) -> None:
    try:
        publish([(f"job:{job_id}", _CHANGED), ("jobs", _CHANGED)])
    except (redis.Error, OSError):
        return  # pages look by themselves while Redis is away


class Lists:
    """Tells the lists of jobs that something changed: at once, then at most every LISTS_PAUSE seconds, the last always."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told = 0.0
        self._timer: threading.Timer | None = None

    def changed(self) -> None:
        """Tell now, or when the pause is over."""
        with self._lock:
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
        try:
            publish([("jobs", _CHANGED)])
        except (redis.Error, OSError):
            return  # pages look by themselves while Redis is away


lists = Lists()

"""Hears from the recorder what became of mails, and uses its housekeeping to send those that wait."""

import logging
import threading
import time
from typing import Any

from django.db import Error, connections

from jobroom import redis, signals
from jobroom.notifications import delivery, services, submission, tasks

logger = logging.getLogger(__name__)

# Seconds between two looks for mails that are old enough to be deleted, and before the first one.
CLEANING, CLEANING_FIRST = 3600.0, 300.0


class Postman:
    """Sends in a thread of its own, one at a time, because a mail server that hangs must not hold up the recorder."""

    def __init__(self) -> None:
        self.thread: threading.Thread | None = None
        self.clean_at = time.monotonic() + CLEANING_FIRST

    def round(self) -> None:
        """Start a round unless one is under way or there is nothing to do."""
        cleaning = time.monotonic() > self.clean_at
        if self.thread is not None and self.thread.is_alive():
            return
        if not (cleaning or services.is_due() or delivery.left().exists()):
            return
        if cleaning:
            self.clean_at = time.monotonic() + CLEANING
        self.thread = threading.Thread(target=self._work, args=(cleaning,), name="postman", daemon=True)
        self.thread.start()

    def _work(self, cleaning: bool) -> None:
        try:
            services.send_due()
            delivery.send_left()
            if cleaning:
                services.clean()
        except (Error, redis.Error, OSError) as error:
            logger.warning("Mails wait: %s", error)
        finally:
            connections.close_all()


postman = Postman()


def connect() -> None:
    """Connect the receivers; twice is the same as once."""
    signals.event_recorded.connect(_recorded, dispatch_uid="notifications")
    signals.housekeeping.connect(_tidy, dispatch_uid="notifications")
    signals.failure_mail.connect(_failure_mail, dispatch_uid="notifications")
    signals.job_changed.connect(_job_changed, dispatch_uid="notifications")


def _recorded(sender: Any, event: dict[str, Any], **_: Any) -> None:
    if event["type"] == "mail":
        services.record(event=event)


def _failure_mail(sender: Any, mail: dict[str, Any], **_: Any) -> bool:
    return submission.take_failure(mail)


def _job_changed(sender: Any, job_id: str, task: str, state: str, **_: Any) -> None:
    if state == "cancelled" and task in {tasks.send_email.name, tasks.deliver_mail.name}:
        submission.cancelled(job=job_id)


def _tidy(sender: Any, **_: Any) -> None:
    try:
        postman.round()
    except (redis.Error, OSError) as error:
        logger.warning("Failure mails: Redis is unavailable: %s", error)

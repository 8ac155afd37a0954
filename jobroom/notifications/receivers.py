"""Receives events of mails from the recorder, and sends mails that wait in its housekeeping."""

import logging
import threading
from typing import Any

from django.db import Error, connections
from django.utils import timezone

from jobroom import redis, signals
from jobroom.exceptions import RedisUnavailable
from jobroom.housekeeping_loops import Every
from jobroom.notifications import alert_delivery, alerts, content, delivery, failure_mails, submission, tasks
from jobroom.tasks import outbox

logger = logging.getLogger(__name__)

# Seconds between two looks for mails that are old enough to be deleted, and before the first one.
CLEANING, CLEANING_FIRST = 3600.0, 300.0


class Postman:
    """Sends in a thread of its own, one at a time, because a mail server that hangs must not hold up the recorder."""

    def __init__(self) -> None:
        self.thread: threading.Thread | None = None
        self.cleaning = Every(CLEANING, first=CLEANING_FIRST)

    def round(self) -> None:
        """Start a round unless one is under way or there is nothing to do."""
        if self.thread is not None and self.thread.is_alive():
            return
        cleaning = self.cleaning.take()
        if not (cleaning or outbox.anything_due() or delivery.left().exists()):
            return
        self.thread = threading.Thread(target=self._work, args=(cleaning,), name="postman", daemon=True)
        self.thread.start()

    def _work(self, cleaning: bool) -> None:
        try:
            failure_mails.collect()
            delivery.send_left()
            if cleaning:
                submission.clean()
                alerts.forget_old()
        except (Error, redis.Error, OSError) as error:
            logger.warning("Mails wait: %s", error)
        finally:
            connections.close_all()


class Alarm:
    """Looks at the rules of alerts every few seconds and sends what they report, in a thread of its own, one at a time.

    Many rules cost many queries, and a webhook may hang: neither holds up the recorder, or mails.
    """

    def __init__(self) -> None:
        self.thread: threading.Thread | None = None
        # A recorder that has just started waits before its first look.
        self.looks = Every(alerts.PAUSE, first=alerts.PAUSE)

    def round(self) -> None:
        """Start a round unless one is under way or there is nothing to do."""
        if self.thread is not None and self.thread.is_alive():
            return
        looking = self.looks.take() and alerts.there_are_rules()
        if not (looking or alert_delivery.due()):
            return
        self.thread = threading.Thread(target=self._work, args=(looking,), name="alerts", daemon=True)
        self.thread.start()

    def _work(self, looking: bool) -> None:
        try:
            if looking:
                alerts.look()
            alert_delivery.send_due()
        except (Error, redis.Error, RedisUnavailable, OSError) as error:
            logger.warning("Alerts wait: %s", error)
        finally:
            connections.close_all()


postman = Postman()
alarm = Alarm()


def connect() -> None:
    """Connect the receivers; twice is the same as once."""
    signals.event_recorded.connect(_recorded, dispatch_uid="notifications")
    signals.housekeeping.connect(_tidy, dispatch_uid="notifications")
    signals.housekeeping.connect(_alert, dispatch_uid="notifications.alerts")
    signals.failure_mail.connect(_failure_mail, dispatch_uid="notifications")
    signals.mail_wanted.connect(_mail_wanted, dispatch_uid="notifications")
    signals.job_changed.connect(_job_changed, dispatch_uid="notifications")


def _recorded(sender: Any, event: dict[str, Any], **_: Any) -> None:
    if event["type"] == "mail":
        failure_mails.record(event=event)


def _failure_mail(sender: Any, mail: dict[str, Any], **_: Any) -> bool:
    return failure_mails.take(mail)


def _mail_wanted(sender: Any, to: list[str], subject: str, text: str, key: str, **_: Any) -> bool:
    """Write the mail's row; a worker sends it after the commit, or the postman's thread where none serves the queue."""
    message = submission.compose(to=to, subject=subject, text=text, key=key)
    if failure_mails.has_way():
        submission.post(message)
    else:
        submission.write(content.pack(message), next_try=timezone.now())
    return True


def _job_changed(sender: Any, job_id: str, task: str, state: str, **_: Any) -> None:
    if state == "cancelled" and task in {tasks.send_email.name, tasks.deliver_mail.name}:
        submission.cancelled(job=job_id)


def _alert(sender: Any, **_: Any) -> None:
    alarm.round()


def _tidy(sender: Any, **_: Any) -> None:
    try:
        postman.round()
    except (redis.Error, OSError) as error:
        logger.warning("Failure mails: Redis is unavailable: %s", error)

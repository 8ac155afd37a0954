"""Puts mails about failed jobs into the outbox: from the process of the job, from Redis, or from an event."""

import logging
import uuid
from datetime import UTC, datetime
from typing import Any

from celery import current_app
from django.conf import settings as django_settings
from django.db import Error, transaction
from django.utils import timezone
from django.utils.module_loading import import_string

from jobroom import housekeeping_loops, redis
from jobroom.events import heartbeat
from jobroom.jobs.gate import default_queue
from jobroom.notifications import content, delivery, submission
from jobroom.notifications.models import Attempt, Mail, Outcome, State, next_try
from jobroom.tasks import failure_mail, outbox
from jobroom.tasks.admin_mail import get_admin_emails

logger = logging.getLogger(__name__)

# By whom the recorder's attempts are.
RECORDER = "recorder"
_STATES = {"sent": State.SENT, "failed": State.WAITING, "nobody": State.NOBODY}


def is_queued() -> bool:
    """Return whether the mails of the site go through the queue."""
    return bool(getattr(import_string(django_settings.EMAIL_BACKEND), "sends_later", False))


def has_worker() -> bool:
    """Return whether a living worker serves the queue of the mails."""
    queue = default_queue(current_app.tasks[submission.DELIVER])
    return any(worker.alive and queue in worker.queues for worker in heartbeat.workers())


def has_way() -> bool:
    """Return whether a mail may be left to a job of the queue."""
    try:
        return is_queued() and has_worker()
    except (redis.Error, OSError, ImportError):
        return False


def take(failure: dict[str, Any]) -> bool:
    """Take over a failure mail, see `jobroom.tasks.failure_mail`: write its row, and queue it or send it from here.

    Raises what the database raises when the row cannot be written; once it is, the mail is ours whatever happens.
    """
    mail, is_new = _write(failure, job=str(uuid.uuid4()) if has_way() else "")
    if not is_new or mail.is_ended:
        return True  # someone has it, or there is no one to notify
    if mail.job_id and submission.queue(mail):
        return True
    try:
        Mail.objects.filter(pk=mail.pk, state=State.WAITING).update(job_id="")
        mail.job_id = ""
        delivery.deliver(mail=mail, by=heartbeat.instance())
    except Error as error:
        logger.warning("Mail %s waits for the recorder, the database is unavailable: %s", mail.pk, error)
    return True


def _write(failure: dict[str, Any], *, job: str, **more: Any) -> tuple[Mail, bool]:
    """Return the row of a failure mail, and whether it was written now."""
    recipients = get_admin_emails()
    fields: dict[str, Any] = {"next_try": timezone.now(), "job_id": job}
    if not recipients:
        fields |= {"state": State.NOBODY, "next_try": None, "ended_at": timezone.now(), "job_id": ""}
        fields |= {"error": "ADMINS is empty: there is no one to notify."}
        logger.warning("The failure of job %s is not mailed: ADMINS is empty", failure["job"])
    message = submission.compose(
        to=recipients, subject=failure["subject"], text=failure["body"], key=key_of(failure["id"]),
        may_repeat=True,  # twice rather than never
    )  # fmt: skip
    about = {name: failure[name] for name in ("task", "fingerprint")} | {"failed_job": failure["job"] or ""}
    packed = content.pack(message)  # before the transaction: while it is open, no one else writes
    with transaction.atomic():
        return submission.write(packed, **(fields | about | more))


def key_of(mail_id: str) -> str:
    """Return the key by which a failure mail is one mail, however many processes report it."""
    return f"failure {mail_id}"


# For the recorder -------------------------------------------------------------------------------------------------------
def record(*, event: dict[str, Any]) -> Mail:
    """Note what a process without the database says of the mail that it sent; `sent` is never taken back."""
    state, at = _STATES[event["status"]], datetime.fromtimestamp(event["at"], UTC)
    attempted = event["status"] in {"sent", "failed"}
    mail, is_new = _write(
        {**event, "id": event["mail"]},
        job="",
        state=state,
        error=event["error"],
        attempts=int(attempted),
        created_at=at,
        delivered=event["recipients"] if state == State.SENT else [],
        next_try=next_try(1) if state == State.WAITING else None,
        ended_at=None if state == State.WAITING else at,
    )
    if is_new and attempted:
        outcome = Outcome.SENT if state == State.SENT else Outcome.LATER
        Attempt.objects.create(
            mail=mail, number=1, outcome=outcome, by="the worker", error=mail.error, started_at=at, ended_at=at
        )
    elif state == State.SENT and mail.state != State.SENT:
        _believe(mail, event["recipients"], at)
    return mail


def _believe(mail: Mail, recipients: list[str], at: datetime) -> None:
    """Note that a slow sender has managed it after all; who holds the claim finds that it is gone."""
    Mail.objects.filter(pk=mail.pk).exclude(state=State.SENT).update(
        state=State.SENT, delivered=recipients, error="", next_try=None, ended_at=at, claim=""
    )
    mail.refresh_from_db()


def collect() -> int:
    """Send the mails that were left behind in Redis and the summaries that are due; return how many there were.

    The row is written first and the box emptied after it: who dies between leaves a mail that is taken again.
    """
    taken, is_down = outbox.take(), False
    for entry in taken:
        with housekeeping_loops.isolated("sending mails", f"failure mail {entry.get('id')}"):
            mail = _take_over(entry)
            if not (mail.is_ended or is_down):
                # A mail that lies here beyond its lease has a sender that is dead, if it had one beside the queue.
                left_by = mail.claimed_by if not mail.job_id and mail.claimed_by != RECORDER else ""
                delivery.deliver(mail=mail, by=RECORDER, left_by=left_by)
                is_down = mail.state == State.WAITING
            outbox.done(entry["id"])
    return len(taken)


def _take_over(entry: failure_mail.Mail) -> Mail:
    mail = failure_mail.compose_summary(entry) if entry["kind"] == "summary" else entry
    return _write(mail, job="")[0]

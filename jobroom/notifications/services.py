"""Keeps the list of mails and sends what did not go out at the first attempt."""

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils import timezone

from jobroom import rounds
from jobroom.notifications import delivery, submission
from jobroom.notifications.conf import settings
from jobroom.notifications.models import AdminMail, Mail, MailState, next_try
from jobroom.tasks import failure_mail, outbox
from jobroom.tasks.admin_mail import get_admin_emails

logger = logging.getLogger(__name__)

# Rows that one round of cleaning deletes at most, so that it never holds up the database.
CLEANED = 500


def record(*, event: dict[str, Any]) -> AdminMail:
    """Note what an event of type `mail` tells; the same event twice is one row, and `sent` is never taken back."""
    state = MailState(event["status"])
    at = datetime.fromtimestamp(event["at"], UTC)
    mail, created = AdminMail.objects.get_or_create(
        pk=event["mail"],
        defaults={
            "state": state,
            "subject": event["subject"],
            "recipients": event["recipients"],
            "body": event["body"],
            "job_id": event["job"] or "",
            "task": event["task"],
            "fingerprint": event["fingerprint"],
            "error": event["error"],
            "attempts": int(state in {MailState.SENT, MailState.FAILED}),
            "created_at": at,
            "sent_at": at if state == MailState.SENT else None,
            "next_try": next_try(1) if state == MailState.FAILED else None,
        },
    )
    # A slow sender has managed it after all, while its mail was already taken over.
    if not created and state == MailState.SENT and mail.state != MailState.SENT:
        mail.sent(event["recipients"])
    return mail


def is_due() -> bool:
    """Return whether `send_due` would find something to do."""
    return outbox.anything_due() or AdminMail.objects.due(timezone.now()).exists()


def collect() -> int:
    """Take over the mails that were left behind and the summaries that are due; return how many.

    The row is written first and the box emptied after it: who dies between leaves a mail that is taken again.
    """
    taken = outbox.take()
    for entry in taken:
        with rounds.isolated("sending mails", f"failure mail {entry.get('id')}"):
            _take_over(entry)
    return len(taken)


def _take_over(entry: failure_mail.Mail) -> None:
    mail = failure_mail.compose_summary(entry) if entry["kind"] == "summary" else entry
    AdminMail.objects.get_or_create(
        pk=mail["id"],
        defaults={
            "state": MailState.WAITING,
            "next_try": timezone.now(),
            **{name: mail[name] for name in ("subject", "body", "task", "fingerprint")},
            "job_id": mail["job"] or "",
        },
    )
    outbox.done(mail["id"])


def send_due(*, limit: int = 50) -> int:
    """Send what is due, until the mail server fails once; return how many went out."""
    collect()
    went_out = 0
    for mail in AdminMail.objects.due(timezone.now())[:limit]:
        with rounds.isolated("sending mails", f"failure mail {mail.pk}"):
            if not mail.claim():
                continue
            send(mail=mail)
        if mail.state == MailState.FAILED:
            break  # the others would find the same server; each waits for its own turn
        went_out += mail.state == MailState.SENT
    return went_out


def send(*, mail: AdminMail) -> None:
    """Try once, and note what came of it; one that was queued goes as the mail that it is there, so never twice."""
    queued = Mail.objects.without_content().filter(failure=mail).first()
    if queued is not None:
        queued.again("housekeeping")
        delivery.deliver(mail=queued, by="recorder")
        submission.tell_failure(queued)
        mail.refresh_from_db()
        return
    status, error = failure_mail.send(mail.subject, mail.body, mail.job_id)
    if status == "sent":
        mail.sent(get_admin_emails())
    elif status == "nobody":
        mail.nobody(error)
    else:
        mail.failed(error)
        if mail.next_try is None:
            logger.error("The failure mail of job %s is given up after %d attempts", mail.job_id, mail.attempts)


def clean() -> int:
    """Delete some of the mails that are older than the setting says; return how many."""
    before = timezone.now() - timedelta(days=settings.MAIL_KEPT_DAYS)
    old = AdminMail.objects.filter(created_at__lt=before).values_list("pk", flat=True)[:CLEANED]
    return AdminMail.objects.filter(pk__in=list(old)).delete()[0]

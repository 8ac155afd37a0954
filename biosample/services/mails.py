"""Mails the owners about what they have to correct."""

import hashlib
import logging
from datetime import timedelta

from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings as django_settings
from django.core.mail import EmailMessage
from django.utils import timezone

from biosample.conf import settings
from biosample.models import Submission

logger = logging.getLogger(__name__)


def send_due_mails() -> int:
    """Send every mail that is due, also those that could not be sent before; return how many went out."""
    return sum(_send(submission) for submission in Submission.objects.mail_due().select_related("owner"))


def _send(submission: Submission) -> bool:
    """Send one mail; return whether it went out.

    The mail is put off before it is sent and struck off after: a second sender finds it put off, and a mail whose
    sender dies or whose server is away is tried again, rather than lost.
    """
    put_off = timezone.now() + timedelta(seconds=settings.MAIL_RETRY)
    mine = Submission.objects.filter(pk=submission.pk, mail_due_at=submission.mail_due_at)
    if not mine.update(mail_due_at=put_off):
        return False
    sent = _deliver(submission)
    if sent is not None:
        Submission.objects.filter(pk=submission.pk, mail_due_at=put_off).update(mail_due_at=None)
    return bool(sent)


def _deliver(submission: Submission) -> bool | None:
    """Return True when sent, False when there is no one to notify, None when it should be tried again."""
    address = submission.owner.email
    if not address:
        logger.warning("Submission %s: its owner %s has no e-mail address", submission.pk, submission.owner)
        return False
    title = " ".join(str(submission).split())
    mail = EmailMessage(
        f"{submission.get_state_display().capitalize()}: your submission “{title}”",
        shorten(submission.message, settings.MAIL_LIMIT) + f"\n\n{django_settings.SITE_URL}\n",
        django_settings.DEFAULT_FROM_EMAIL,
        [address],
    )
    mail.extra_headers["X-Mail-Key"] = _key(submission, mail)
    try:
        mail.send()
    except SoftTimeLimitExceeded:
        raise
    except Exception:  # the boundary between mails: mail back ends raise what they like; log lines carry the job id
        logger.exception("Submission %s: the mail to its owner waits", submission.pk)
        return None
    return True


def _key(submission: Submission, mail: EmailMessage) -> str:
    """Return what makes a second try the same mail: the change that it reports, and what it says to whom.

    Where the title or the address was corrected meanwhile, it is another mail.
    """
    said = "\0".join([str(mail.subject), str(mail.body), *mail.to])
    digest = hashlib.sha256(said.encode(errors="replace")).hexdigest()[:16]
    return f"submission {submission.pk} {submission.changed_at.timestamp():.6f} {digest}"


def shorten(text: str, limit: int) -> str:
    """Return the text, cut to `limit` characters and saying so if it is longer."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]}…\n\n(Shortened: {len(text) - limit} more characters are kept with the submission.)"

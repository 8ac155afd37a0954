"""`mail_admins` helpers of the task API."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend


def get_admin_emails() -> list[str]:
    """Return the addresses of `settings.ADMINS`, whose entries are addresses or pairs of name and address."""
    entries: list[Any] = settings.ADMINS
    return [entry if isinstance(entry, str) else entry[1] for entry in entries]


def send_mail_to_admins(
    email_subject: str,
    email_message: str,
    default_from: str | None = None,
    addresses: Sequence[str] | None = None,
    *,
    connection: BaseEmailBackend | None = None,
) -> int:
    """Send one mail to all admins, or to all `addresses`.

    By `connection` it leaves at once, without one in the way that `EMAIL_BACKEND` says.

    Returns:
        How many mails were handed over; 0 when there is no one to notify.

    Raises:
        smtplib.SMTPException, OSError: the mail server refused or did not answer within `EMAIL_TIMEOUT`.

    """
    recipients = list(get_admin_emails() if addresses is None else addresses)
    if not recipients:
        return 0
    sender = default_from or settings.DEFAULT_FROM_EMAIL
    return EmailMessage(email_subject, email_message, sender, recipients, connection=connection).send()

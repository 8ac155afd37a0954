"""The documented mail helpers of the task API; nothing else belongs here."""

from collections.abc import Sequence

from django.conf import settings
from django.core.mail import EmailMessage


def get_admin_emails() -> list[str]:
    """Return the addresses of `settings.ADMINS`."""
    return [address for _, address in settings.ADMINS]


def send_mail_to_admins(
    email_subject: str,
    email_message: str,
    default_from: str | None = None,
    addresses: Sequence[str] | None = None,
) -> int:
    """Mail every admin, or `addresses`; return how many mails were handed over (0 when there is nobody to tell)."""
    recipients = list(get_admin_emails() if addresses is None else addresses)
    if not recipients:
        return 0
    return EmailMessage(email_subject, email_message, default_from or settings.DEFAULT_FROM_EMAIL, recipients).send()

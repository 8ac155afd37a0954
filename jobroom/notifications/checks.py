"""System checks of the notifications."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Warning, register

from jobroom.tasks.admin_mail import get_admin_emails


def connect() -> None:
    """Register the checks; twice is the same as once."""
    register(somebody_is_told)


def somebody_is_told(**kwargs: Any) -> list[CheckMessage]:
    """Warn about a site in production whose failures no one hears of."""
    if get_admin_emails() or getattr(settings, "DEVELOPMENT", False):
        return []
    return [
        Warning(
            "ADMINS is empty, so no one is notified when a job fails.",
            hint='Set the environment variable ADMINS, such as "Ada <ada@example.org>, bob@example.org".',
            id="jobroom_notifications.W001",
        )
    ]

"""System checks of the notifications."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Warning, register

from jobroom.tasks.admin_mail import get_admin_emails


def connect() -> None:
    """Register the checks; twice is the same as once."""
    register(admins_are_named)


def admins_are_named(**kwargs: Any) -> list[CheckMessage]:
    """Warn about a site in production whose failures no one hears of."""
    if get_admin_emails() or getattr(settings, "DEVELOPMENT", False):
        return []
    return [
        Warning(
            "ADMINS is empty, so no one is notified when a job fails.",
            hint="Name them in the setting ADMINS; where `manage.py up` runs the site, in the variable ADMINS of its environment.",
            id="jobroom_notifications.W001",
        )
    ]

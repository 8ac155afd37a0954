"""Reusable reads of the mails."""

from datetime import datetime
from typing import TYPE_CHECKING

from django.db import models

if TYPE_CHECKING:
    from notifications.models import AdminMail  # noqa: F401 — named in the base class below


class AdminMailQuerySet(models.QuerySet["AdminMail"]):
    """Mails to the admins."""

    def due(self, now: datetime) -> "AdminMailQuerySet":
        """Return those that are to be sent, the longest waiting first."""
        return self.filter(next_try__lte=now).order_by("next_try")

    def failed(self) -> "AdminMailQuerySet":
        """Return those that did not go out, whether they are tried again or not."""
        return self.filter(state="failed")

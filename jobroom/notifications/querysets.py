"""Reusable reads of the mails."""

from datetime import datetime
from typing import TYPE_CHECKING

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Q

from jobroom.notifications import policies
from jobroom.users import User

if TYPE_CHECKING:
    from jobroom.notifications.models import Mail  # noqa: F401 — named in the base class below


class MailQuerySet(models.QuerySet["Mail"]):
    """The mails of the site."""

    def visible_to(self, user: User | AnonymousUser) -> "MailQuerySet":
        """Return the mails of which `user` may know: staff all, others none."""
        return self if policies.may_see(user) else self.none()

    def without_content(self) -> "MailQuerySet":
        """Leave out the mail itself, which may be long; lists never show it."""
        return self.defer("content")

    def newest_first(self) -> "MailQuerySet":
        """Return the mails in the order of the lists."""
        return self.order_by("-created_at", "-id")

    def left(self, *, now: datetime, overdue: datetime, stale: datetime) -> "MailQuerySet":
        """Return those that no one takes: overdue, due without a job that would, or with a sender silent since `stale`."""
        waiting = Q(state="waiting", next_try__lte=overdue) | Q(state="waiting", job_id="", next_try__lte=now)
        return self.filter(waiting | Q(state="sending", claimed_at__lt=stale)).order_by("created_at")

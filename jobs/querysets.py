"""Reusable reads of jobs."""

from typing import TYPE_CHECKING

from django.contrib.auth.models import AnonymousUser, User
from django.db import models

if TYPE_CHECKING:
    from jobs.models import Job  # noqa: F401 — named in the base class below


class JobQuerySet(models.QuerySet["Job"]):
    """Jobs, cut down to what somebody may see or asks for."""

    def visible_to(self, user: User | AnonymousUser) -> "JobQuerySet":
        """Return the jobs that `user` may see: staff all, others their own, strangers none."""
        if not user.is_authenticated or not user.is_active:
            return self.none()
        return self if user.is_staff else self.filter(owner=user)

    def newest_first(self) -> "JobQuerySet":
        """Return the jobs in the order of the lists."""
        return self.order_by("-created_at", "-id")

    def without_bulk(self) -> "JobQuerySet":
        """Leave out the columns that may be long; lists never show them."""
        return self.defer("args", "kwargs", "result", "traceback", "facts")

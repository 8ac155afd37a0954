"""Reusable reads of workflows."""

from typing import TYPE_CHECKING

from django.contrib.auth.models import AnonymousUser, User
from django.db import models

if TYPE_CHECKING:
    from workflows.models import StoredWorkflow  # noqa: F401 — named in the base class below


class StoredWorkflowQuerySet(models.QuerySet["StoredWorkflow"]):
    """Workflows, cut down to what somebody may see or asks for."""

    def visible_to(self, user: User | AnonymousUser) -> "StoredWorkflowQuerySet":
        """Return the workflows that `user` may see: staff all, others their own, strangers none."""
        if not user.is_authenticated or not user.is_active:
            return self.none()
        return self if user.is_staff else self.filter(owner=user)

    def newest_first(self) -> "StoredWorkflowQuerySet":
        """Return the workflows in the order of the lists."""
        return self.order_by("-created_at", "-id")

    def without_bulk(self) -> "StoredWorkflowQuerySet":
        """Leave out the columns that may be long; lists never show them."""
        return self.defer("graph", "letters", "payload", "result", "items", "custom_payload", "decisions")

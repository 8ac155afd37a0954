"""Reusable reads of workflows."""

import json
from typing import TYPE_CHECKING

from django.contrib.auth.models import AnonymousUser
from django.db import models

from jobroom.users import User

if TYPE_CHECKING:
    from jobroom.workflows.models import StoredWorkflow  # noqa: F401 — named in the base class below


class StoredWorkflowQuerySet(models.QuerySet["StoredWorkflow"]):
    """Workflows, cut down to what someone may see or asks for."""

    def visible_to(self, user: User | AnonymousUser) -> "StoredWorkflowQuerySet":
        """Return the workflows that `user` may see: staff all, others their own, strangers none."""
        if not user.is_authenticated or not user.is_active:
            return self.none()
        return self if user.is_staff else self.filter(owner=user)

    def decidable_by(self, user: User | AnonymousUser) -> "StoredWorkflowQuerySet":
        """Return the workflows that `user` may see, and those that name a group of theirs: it may be to decide there.

        The graphs of all others stay unread, so a workflow that is hidden costs what one does that there is not.
        """
        names = list(user.groups.values_list("name", flat=True)) if user.is_authenticated else []
        if not names or not user.is_active or user.is_staff:
            return self.visible_to(user)
        asked = models.Q(owner=user)
        for name in names:
            asked |= models.Q(graph__contains=json.dumps(name)) | models.Q(graph__contains=name)
        return self.filter(asked)

    def newest_first(self) -> "StoredWorkflowQuerySet":
        """Return the workflows in the order of the lists."""
        return self.order_by("-created_at", "-id")

    def without_bulk(self) -> "StoredWorkflowQuerySet":
        """Leave out the columns that may be long; lists never show them."""
        return self.defer("graph", "node_states", "payload", "result", "items", "custom_payload", "decisions")

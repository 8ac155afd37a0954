"""Reusable reads of the dead letters."""

from typing import TYPE_CHECKING

from django.contrib.auth.models import AnonymousUser
from django.db import models

from jobroom.jobs import policies
from jobroom.users import User

if TYPE_CHECKING:
    from jobroom.workers.models import DeadLetter  # noqa: F401 — named in the base class below


class DeadLetterQuerySet(models.QuerySet["DeadLetter"]):
    """The messages that no worker could run."""

    def visible_to(self, user: User | AnonymousUser) -> "DeadLetterQuerySet":
        """Return those of which `user` may know: who sees every job all, others none."""
        return self if policies.sees_all(user) else self.none()

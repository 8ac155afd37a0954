"""Reusable reads of the spam model's versions."""

from typing import TYPE_CHECKING

from django.contrib.auth.models import AnonymousUser
from django.db import models

from jobroom.users import User
from text import policies

if TYPE_CHECKING:
    from text.models import SpamModel


class SpamModelQuerySet(models.QuerySet["SpamModel"]):
    """Versions, cut down to what someone may see."""

    def visible_to(self, user: User | AnonymousUser) -> "SpamModelQuerySet":
        """Return the versions that `user` may see: all or none."""
        return self if policies.may_see_models(user) else self.none()

    def promoted(self) -> "SpamModel | None":
        """Return the version that works, None before the first one."""
        return self.filter(state="promoted").first()

    def before(self) -> "SpamModel | None":
        """Return the version that was promoted before the present one, to which one can roll back."""
        return self.filter(state="retired").order_by("-promoted_at").first()

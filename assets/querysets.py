"""Reusable reads of assets."""

from typing import TYPE_CHECKING

from django.contrib.auth.models import AnonymousUser
from django.db import models

from jobroom.users import User

if TYPE_CHECKING:
    from assets.models import Asset  # noqa: F401 — named in the base class below


class AssetQuerySet(models.QuerySet["Asset"]):
    """Assets, cut down to what someone may see."""

    def visible_to(self, user: User | AnonymousUser) -> "AssetQuerySet":
        """Return the assets that `user` may see: staff all, others their own, strangers none."""
        if not user.is_authenticated or not user.is_active:
            return self.none()
        return self if user.is_staff else self.filter(owner=user)

"""Reusable reads of vocabularies."""

from typing import TYPE_CHECKING, Self

from django.contrib.auth.models import AnonymousUser
from django.db import models

from jobroom.users import User

if TYPE_CHECKING:
    from ontology.models import Vocabulary  # noqa: F401 — named in the base class below


class VocabularyQuerySet(models.QuerySet["Vocabulary"]):
    """Vocabularies, cut down to what someone may see or use."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Return the vocabularies that `user` may see: everyone who is signed in all of them, strangers none."""
        return self if user.is_authenticated and user.is_active else self.none()

    def usable(self) -> Self:
        """Return those that were loaded once."""
        return self.filter(version__gt=0)

    def offered(self) -> Self:
        """Return those that were loaded once, and those of the project that the first worker loads."""
        return self.filter(models.Q(version__gt=0) | models.Q(shipped=True, error=""))

"""Reusable reads of submissions and records."""

from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from django.apps import apps
from django.db import models
from django.utils import timezone

from biosample.states import State

if TYPE_CHECKING:
    from biosample.models import Annotation, Record, Submission  # noqa: F401 — the models import this module


class SubmissionQuerySet(models.QuerySet["Submission"]):
    """Reads of submissions."""

    def visible_to(self, user: Any) -> Self:
        """Return what `user` may see: their own; staff see all, no one else sees anything."""
        if not user.is_active or not user.is_authenticated:
            return self.none()
        return self if user.is_staff else self.filter(owner=user)

    def submitted(self) -> Self:
        """Return those whose status in USI is to be fetched, the one that waits longest first."""
        return self.filter(state=State.SUBMITTED).order_by("changed_at", "pk")

    def mail_due(self, now: datetime | None = None) -> Self:
        """Return those whose owner is still to be notified."""
        return self.filter(mail_due_at__lte=now or timezone.now()).order_by("mail_due_at", "pk")


class RecordQuerySet(models.QuerySet["Record"]):
    """Reads of records."""

    def visible_to(self, user: Any) -> Self:
        """Return what `user` may see: the records of their own submissions; staff see all."""
        if not user.is_active or not user.is_authenticated:
            return self.none()
        return self if user.is_staff else self.filter(submission__owner=user)

    def without_annotation(self, attribute: str, vocabulary: str, version: int) -> Self:
        """Return those whose value of `attribute` was not looked up in this version of the vocabulary, or in vain."""
        annotations: Any = apps.get_model("biosample", "Annotation")
        done = annotations.objects.filter(
            record=models.OuterRef("pk"),
            attribute=attribute,
            value=models.OuterRef(attribute),
            vocabulary=vocabulary,
            vocabulary_version=version,
        ).exclude(outcome=annotations.Outcome.FAILED)
        return self.exclude(**{attribute: ""}).filter(~models.Exists(done))


class AnnotationQuerySet(models.QuerySet["Annotation"]):
    """Reads of annotations."""

    def outdated(self, attribute: str) -> Self:
        """Return those of `attribute` whose record says something else by now."""
        return self.filter(attribute=attribute).exclude(value=models.F(f"record__{attribute}"))

"""Versions of the spam model: what each learned, how good it is, and which one works."""

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from jobroom.jobs.models import StoredFile
from text.querysets import SpamModelQuerySet


class Standing(models.TextChoices):
    """What a version is used for."""

    CANDIDATE = "candidate", "Candidate"  # trained, and never used
    PROMOTED = "promoted", "Promoted"  # the one that works
    RETIRED = "retired", "Retired"  # used before, and kept to go back to


class SpamModel(models.Model):
    """One trained version."""

    version = models.PositiveIntegerField(unique=True, editable=False)
    state = models.CharField(max_length=10, choices=Standing.choices, default=Standing.CANDIDATE, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+", editable=False
    )
    job_id = models.CharField(max_length=255, blank=True, editable=False, help_text="The job that trained it.")
    promoted_at = models.DateTimeField(null=True, blank=True, editable=False)
    promoted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+", editable=False
    )
    verdict = models.TextField(blank=True, editable=False, help_text="Why it was promoted by itself, or not.")
    note = models.CharField(max_length=255, blank=True)

    file = models.ForeignKey(StoredFile, on_delete=models.PROTECT, related_name="+", editable=False)
    sha256 = models.CharField(max_length=64, editable=False, help_text="Of the file; another content is refused.")
    size = models.PositiveBigIntegerField(editable=False, help_text="Bytes of the file.")

    data_name = models.CharField(max_length=255, editable=False, help_text="File that it was trained from.")
    data_sha256 = models.CharField(max_length=64, editable=False)
    data_rows = models.PositiveIntegerField(editable=False, help_text="Messages in that file.")
    counts = models.JSONField(default=dict, editable=False, help_text="Of them: learned, held out, left out, spam.")
    libraries = models.JSONField(default=dict, editable=False, help_text="Versions of what it was trained with.")
    parameters = models.JSONField(default=dict, editable=False)
    folds = models.JSONField(default=list, editable=False, help_text="Measures of each fold of the cross-validation.")
    mean = models.JSONField(default=dict, editable=False, help_text="Means over the folds.")
    held_out = models.JSONField(default=dict, editable=False, help_text="Measures on messages that it did not learn.")

    objects = SpamModelQuerySet.as_manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["-version"]
        verbose_name = "version of the spam model"
        verbose_name_plural = "versions of the spam model"
        permissions = [("promote_spammodel", "Can promote and roll back spam models")]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["state"], condition=Q(state="promoted"), name="spammodel_one_promoted"),
        ]

    def __str__(self) -> str:
        return f"version {self.version}"

    def get_absolute_url(self) -> str:
        """Return the address of the version's page."""
        return reverse("text:model", args=[self.version])

    @property
    def f1(self) -> float:
        """F1 of spam, mean of the cross-validation, from 0 to 1."""
        return float(self.mean.get("f1", 0.0))

    @property
    def held_out_f1(self) -> float:
        """F1 of spam on the messages that it did not learn, from 0 to 1."""
        return float(self.held_out.get("f1", 0.0))

    @property
    def confusion(self) -> list[list[int]]:
        """[[ham as ham, ham as spam], [spam as ham, spam as spam]] on the messages that it did not learn."""
        found: list[list[int]] = self.held_out.get("confusion") or [[0, 0], [0, 0]]
        return found

    def facts(self) -> dict[str, Any]:
        """Return what the result of a job says about it."""
        return {
            "version": self.version,
            "state": self.state,
            "f1": self.f1,
            "held_out_f1": self.held_out_f1,
            "messages": self.data_rows,
            "verdict": self.verdict,
        }

"""3D assets, what is known about them, and what was made of them."""

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils import timezone

from assets.geometry.formats import FORMATS
from assets.querysets import AssetQuerySet
from jobroom.jobs.models import StoredFile


class Asset(models.Model):
    """One uploaded mesh."""

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="assets"
    )
    name = models.CharField(max_length=255, help_text="As its owner calls it; shown, never used as a path.")
    file = models.ForeignKey(StoredFile, on_delete=models.PROTECT, related_name="+", editable=False)
    format = models.CharField(max_length=3, choices=list(FORMATS.items()), editable=False)
    size = models.PositiveBigIntegerField(help_text="Bytes.", editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    # Of the latest inspection.
    facts = models.JSONField(default=dict, blank=True, editable=False)
    inspected_at = models.DateTimeField(null=True, blank=True, editable=False)
    inspected_by = models.CharField(max_length=255, blank=True, editable=False, help_text="Id of the job.")

    objects = AssetQuerySet.as_manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["-id"]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """Return the address of the asset's page."""
        return reverse("assets:asset", args=[self.pk])

    @property
    def pictures(self) -> "list[AssetResult]":
        """The latest pictures, in the order of the views; prefetched results are used."""
        return [result for result in self.results.all() if result.kind == Kind.PICTURE]

    @property
    def cover(self) -> "AssetResult | None":
        """The picture for lists: the one from the corner shows most."""
        return next((picture for picture in self.pictures if picture.view == "corner"), next(iter(self.pictures), None))

    @property
    def meshes(self) -> "list[AssetResult]":
        """The latest meshes that were made of it."""
        return [result for result in self.results.all() if result.kind != Kind.PICTURE]


class Kind(models.TextChoices):
    """What was made of an asset."""

    REPAIRED = "repaired", "Repaired"
    SIMPLIFIED = "simplified", "Simplified"
    CONVERTED = "converted", "Converted"
    PICTURE = "picture", "Picture"


class AssetResult(models.Model):
    """The latest file of one kind that a job made of an asset; of pictures there is one for each view."""

    asset = models.ForeignKey(Asset, on_delete=models.CASCADE, related_name="results", db_index=False)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    view = models.CharField(max_length=10, blank=True, help_text="Of a picture: from where it looks.")
    file = models.OneToOneField(StoredFile, on_delete=models.CASCADE, related_name="asset_result")
    facts = models.JSONField(default=dict, blank=True)
    job_id = models.CharField(max_length=255, blank=True, help_text="The job that made it.")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar[list[str]] = ["id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["asset", "kind", "view"], name="assetresult_once"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.view}".strip()

    @property
    def summary(self) -> str:
        """What a list says about it in a few words."""
        facts: dict[str, Any] = self.facts
        if self.kind == Kind.SIMPLIFIED and "faces" in facts:
            return f"{facts['faces']:,} of {facts['faces_before']:,} triangles"
        if self.kind == Kind.REPAIRED and "watertight" in facts:
            closed = "watertight" if facts["watertight"] else "still open"
            return f"{facts['faces_removed']:,} triangles removed, {facts['faces_added']:,} added, {closed}"
        return ""

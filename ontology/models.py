"""Vocabularies: where each came from, and where its index is."""

from pathlib import Path
from typing import ClassVar

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.urls import reverse
from django.utils import timezone

from jobroom.jobs.models import StoredFile
from ontology.exceptions import VocabularyFailed
from ontology.querysets import VocabularyQuerySet
from ontology.vocabulary.formats import FORMATS
from ontology.vocabulary.index import Index, IndexUnusable

# Files of vocabularies that come with the project; named like the vocabulary.
SHIPPED = Path(__file__).parent / "data"
valid_name = RegexValidator(
    r"^[a-z][a-z0-9_]{0,49}\Z",
    "Use small letters, digits and _, beginning with a letter, at most 50: for example organism_part.",
)


class Vocabulary(models.Model):
    """A named vocabulary of terms; `version` counts its loads, 0 before the first one."""

    name = models.CharField(max_length=50, unique=True, validators=[valid_name])
    version = models.PositiveIntegerField(default=0, editable=False)
    shipped = models.BooleanField(default=False, editable=False, help_text="Its file came with the project.")

    # Of the version in use.
    file = models.ForeignKey(StoredFile, null=True, on_delete=models.PROTECT, related_name="+", editable=False)
    index = models.ForeignKey(StoredFile, null=True, on_delete=models.PROTECT, related_name="+", editable=False)
    format = models.CharField(max_length=3, choices=list(FORMATS.items()), blank=True, editable=False)
    sha256 = models.CharField(max_length=64, blank=True, editable=False, help_text="Of the file.")
    terms = models.PositiveIntegerField(default=0, editable=False)
    obsolete = models.PositiveIntegerField(default=0, editable=False, help_text="Terms that are no longer to be used.")
    labels = models.PositiveIntegerField(default=0, editable=False, help_text="Names and synonyms.")
    outside = models.PositiveIntegerField(default=0, editable=False, help_text="Parents that the file has not.")
    ontology = models.CharField(max_length=200, blank=True, editable=False, help_text="What the file calls itself.")
    data_version = models.CharField(max_length=200, blank=True, editable=False, help_text="What the file says.")
    loaded_at = models.DateTimeField(null=True, editable=False)
    loaded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+", editable=False
    )
    job_id = models.CharField(max_length=255, blank=True, editable=False, help_text="The job that loaded it.")

    # Of the latest try, if it failed; the version in use stays in use.
    error = models.TextField(blank=True, editable=False)
    failed_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = VocabularyQuerySet.as_manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["name"]
        verbose_name_plural = "vocabularies"

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """Return the address of its page."""
        return reverse("ontology:vocabulary", args=[self.name])

    def open(self) -> Index:
        """Return its index, to be closed by the caller; raise VocabularyFailed when there is none that can be read."""
        if self.index is None:
            reason = self.error or "A worker of the queue default loads it when it starts."
            raise VocabularyFailed(f"The vocabulary {self.name} is not loaded yet. {reason}")
        try:
            return Index(self.index.path, self.name, self.version)
        except (IndexUnusable, OSError) as error:
            raise VocabularyFailed(f"The vocabulary {self.name} cannot be read: load its file again.") from error

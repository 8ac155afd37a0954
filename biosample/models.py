"""Submissions to BioSamples, their records and their states."""

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from biosample.exceptions import InvalidTransition
from biosample.querysets import AnnotationQuerySet, RecordQuerySet, SubmissionQuerySet
from biosample.states import State

# From which states each state can be reached; nothing leaves COMPLETED, because its accessions are public.
REACHED_FROM: dict[State, frozenset[State]] = {
    State.WAITING: frozenset({State.LOADED, State.READY, State.NEED_REVISION, State.ERROR}),
    State.LOADED: frozenset({State.WAITING, State.READY, State.NEED_REVISION, State.ERROR}),
    State.READY: frozenset({State.WAITING, State.LOADED, State.NEED_REVISION, State.ERROR}),
    State.SUBMITTED: frozenset({State.WAITING, State.READY, State.NEED_REVISION, State.ERROR}),
    State.NEED_REVISION: frozenset({State.WAITING, State.LOADED, State.READY, State.SUBMITTED}),
    State.ERROR: frozenset({State.WAITING, State.LOADED, State.READY, State.SUBMITTED}),
    State.COMPLETED: frozenset({State.SUBMITTED}),
}


class Attribute(models.TextChoices):
    """What is written about a record in someone's words, and is annotated with a term."""

    SPECIES = "species", "species"
    BREED = "breed", "breed"
    ORGANISM_PART = "organism_part", "organism part"


class Submission(models.Model):
    """One set of animals and samples on its way into BioSamples."""

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="submissions",
        help_text="Gets a mail when something has to be corrected.",
    )
    title = models.CharField(max_length=200)
    usi_name = models.CharField(
        "name in USI",
        max_length=100,
        blank=True,
        help_text="The id that USI gave, such as c8c86558-8d3a-4ac5-8638-7aa354291d61. Needed before it can be submitted.",
    )
    state = models.PositiveSmallIntegerField(choices=State, default=State.WAITING, editable=False)
    changed_at = models.DateTimeField("last change of state", default=timezone.now, editable=False)
    submitted_at = models.DateTimeField("submitted", null=True, blank=True, editable=False)
    message = models.TextField(blank=True, editable=False, help_text="What came out, for the owner.")
    usi_status = models.CharField("status in USI", max_length=50, blank=True, editable=False)
    problem = models.TextField(
        blank=True, editable=False, help_text="Why the last look into USI failed; empty when it did not."
    )
    checked_at = models.DateTimeField("last look into USI", null=True, blank=True, editable=False)
    mail_due_at = models.DateTimeField(
        null=True, editable=False, help_text="From when the mail to the owner may be sent; empty when none is due."
    )
    created_at = models.DateTimeField("created", auto_now_add=True)
    updated_at = models.DateTimeField("updated", auto_now=True)

    objects = SubmissionQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        indexes = [models.Index(fields=["state", "changed_at"], name="biosample_state")]
        constraints = [
            models.CheckConstraint(
                condition=~Q(state=State.SUBMITTED) | ~Q(usi_name=""),
                name="biosample_submitted_has_usi_name",
                violation_error_message="A submitted submission needs its name in USI: fill in “name in USI”.",
            ),
            models.UniqueConstraint(fields=["usi_name"], condition=~Q(usi_name=""), name="biosample_usi_name_once"),
        ]

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        """Return the address of its page."""
        return reverse("biosample:submission", args=[self.pk])

    def change_state(self, new: State, **fields: Any) -> None:
        """Change into state `new`, in the database only if no one changed it meanwhile; `fields` are saved with it.

        Raises InvalidTransition if `new` cannot follow, or if the row is no longer in the state that this object knows.
        """
        old = State(self.state)
        if old not in REACHED_FROM[new]:
            raise InvalidTransition(f"Submission {self.pk} is {old.label} and cannot become {new.label}.")
        now = timezone.now()
        values = {"state": new, "changed_at": now, "updated_at": now, **fields}
        if not type(self).objects.filter(pk=self.pk, state=old).update(**values):
            raise InvalidTransition(f"Submission {self.pk} is no longer {old.label}, so it did not become {new.label}.")
        for name, value in values.items():
            setattr(self, name, value)

    def submit(self) -> None:
        """Say that it is in USI under `usi_name`; from now on its status is fetched."""
        if not self.usi_name:
            raise InvalidTransition(f"Submission {self.pk} has no name in USI: fill it in first.")
        self.change_state(State.SUBMITTED, submitted_at=timezone.now(), message="", problem="", mail_due_at=None)

    def complete(self, message: str) -> None:
        """Say that every record has its accession."""
        self.change_state(State.COMPLETED, message=message)

    def ask_revision(self, message: str) -> None:
        """Say what the owner has to correct; the mail falls due."""
        self.change_state(State.NEED_REVISION, message=message, mail_due_at=timezone.now())

    def fail(self, message: str) -> None:
        """Say what went wrong; the mail to the owner falls due."""
        self.change_state(State.ERROR, message=message, mail_due_at=timezone.now())


class Record(models.Model):
    """One animal or sample of a submission."""

    class Kind(models.TextChoices):
        """What the record describes."""

        ANIMAL = "animal"
        SAMPLE = "sample"

    submission = models.ForeignKey(Submission, on_delete=models.CASCADE, related_name="records")
    alias = models.CharField(max_length=200, help_text="Its name in the submission, as USI knows it.")
    kind = models.CharField(max_length=6, choices=Kind, default=Kind.SAMPLE)
    species = models.CharField(max_length=200, blank=True, help_text="In the owner's words: cattle.")
    breed = models.CharField(max_length=200, blank=True, help_text="In the owner's words: Holstein.")
    organism_part = models.CharField(max_length=200, blank=True, help_text="In the owner's words: liver.")
    accession = models.CharField("BioSamples accession", max_length=50, blank=True, editable=False)
    state = models.PositiveSmallIntegerField(choices=State, default=State.WAITING, editable=False)
    errors = models.JSONField(
        default=list, blank=True, editable=False, help_text="What USI found wrong: list of texts."
    )
    created_at = models.DateTimeField("created", auto_now_add=True)
    updated_at = models.DateTimeField("updated", auto_now=True)

    objects = RecordQuerySet.as_manager()

    class Meta:
        ordering = ["submission", "alias"]
        constraints = [models.UniqueConstraint(fields=["submission", "alias"], name="biosample_alias_once")]

    def __str__(self) -> str:
        return self.alias


class Annotation(models.Model):
    """The term that was found for an attribute of a record, or why none was."""

    class Outcome(models.TextChoices):
        """What came out."""

        FOUND = "found"
        AMBIGUOUS = "ambiguous"
        NOTHING = "nothing"
        FAILED = "failed"

    record = models.ForeignKey(Record, on_delete=models.CASCADE, related_name="annotations", db_index=False)
    attribute = models.CharField(max_length=20, choices=Attribute)
    value = models.CharField(
        max_length=200, help_text="The words that were looked up; when they change this is outdated."
    )
    outcome = models.CharField(max_length=10, choices=Outcome)
    term_id = models.CharField(max_length=300, blank=True)
    term_name = models.CharField(max_length=300, blank=True)
    confidence = models.FloatField(default=0.0, help_text="From 0 to 1.")
    how = models.CharField(max_length=100, blank=True, help_text="By what it was found: name, exact synonym, …")
    replaces = models.CharField(max_length=300, blank=True, help_text="The obsolete term that was found at first.")
    suggestions = models.JSONField(
        default=list, help_text="Without a term: the nearest ones, each with id, name and score."
    )
    problem = models.TextField(blank=True, help_text="Why the value could not be looked up.")
    vocabulary = models.CharField(max_length=50, help_text="Where it was looked up.")
    vocabulary_version = models.PositiveIntegerField(default=0)
    job_id = models.CharField(max_length=255, blank=True)
    annotated_at = models.DateTimeField(default=timezone.now)

    objects = AnnotationQuerySet.as_manager()

    class Meta:
        ordering = ["record", "attribute"]
        constraints = [models.UniqueConstraint(fields=["record", "attribute"], name="biosample_annotation_once")]
        indexes = [models.Index(fields=["attribute", "value"], name="biosample_annotated_value")]

    def __str__(self) -> str:
        return f"{self.get_attribute_display()}: {self.term_name or self.value}"

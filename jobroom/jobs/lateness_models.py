"""Tables of lateness: what is expected of jobs, and which jobs do not live up to it."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone


class ExpectedOf(models.TextChoices):
    """What an expectation is about."""

    TASK = "task", "Task"
    SCHEDULE = "schedule", "Schedule"


class Expectation(models.Model):
    """What is expected of the jobs of one task or schedule. All times are in seconds."""

    of = models.CharField(max_length=8, choices=ExpectedOf.choices)
    name = models.CharField(max_length=255, help_text="Of the task or the schedule.")
    within = models.PositiveIntegerField(null=True, blank=True, help_text="From its turn to its end.")
    usual = models.PositiveIntegerField(null=True, blank=True, help_text="It runs longer than usual after so long.")
    silent = models.PositiveIntegerField(
        null=True, blank=True, help_text="It is silent when it said nothing for so long."
    )
    by = models.CharField(max_length=255, blank=True, help_text="Who said so.")
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        permissions = [("expect", "Can say when jobs are late")]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["of", "name"], name="expectation_once"),
            models.CheckConstraint(
                condition=Q(within__isnull=False) | Q(usual__isnull=False) | Q(silent__isnull=False),
                name="expectation_of_something",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_of_display().lower()} {self.name}"


class LateKind(models.TextChoices):
    """How a job does not live up to what is expected."""

    LATE = "late", "Late, or will be"
    LONG = "long", "Longer than usual"
    SILENT = "silent", "Silent"


class Lateness(models.Model):
    """One job that is late, will be, runs longer than usual or is silent. The row goes when that is over, or the job ends."""

    job = models.ForeignKey("jobroom_jobs.Job", models.CASCADE, related_name="lateness", db_index=False)
    kind = models.CharField(max_length=6, choices=LateKind.choices)
    since = models.DateTimeField(default=timezone.now)
    deadline = models.DateTimeField(null=True, blank=True)
    earliest = models.DateTimeField(null=True, blank=True, help_text="Between this moment and")
    latest = models.DateTimeField(null=True, blank=True, help_text="this one it should end.")
    bound = models.FloatField(null=True, blank=True, help_text="Seconds that it went beyond.")

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["job", "kind"], name="lateness_once"),
        ]
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["kind"], name="lateness_kind")]

    def __str__(self) -> str:
        return f"job {self.job_id}: {self.kind}"

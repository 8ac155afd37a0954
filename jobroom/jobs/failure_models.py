"""Tables of failures by their cause: the recorder counts, people say what is to be done."""

from typing import ClassVar

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.urls import reverse
from django.utils import timezone

from jobroom.jobs import policies
from jobroom.users import User


class GroupState(models.TextChoices):
    """What people have said of a cause."""

    OPEN = "open", "Open"
    MUTED = "muted", "Muted"  # known, and not to be called anyone's attention to
    RESOLVED = "resolved", "Resolved"  # until it comes back


class FailureGroupQuerySet(models.QuerySet["FailureGroup"]):
    """Causes of failures."""

    def visible_to(self, user: User | AnonymousUser) -> "FailureGroupQuerySet":
        """Return the causes that `user` may see: staff all, others none, because a cause counts jobs of all people."""
        return self if policies.sees_all(user) else self.none()

    def newest_first(self) -> "FailureGroupQuerySet":
        """Return the causes in the order of the list, without those whose only failure was corrected."""
        return self.filter(number__gt=0).order_by("-last_seen", "-id")


class FailureGroup(models.Model):
    """All failures with one cause. Its id is the fingerprint of the cause: see `jobroom.jobs.failures`."""

    id = models.CharField(primary_key=True, max_length=32, editable=False)
    error_type = models.CharField(max_length=255, blank=True)
    sentence = models.CharField(max_length=500, blank=True, help_text="The error's own words, without what varies.")
    place = models.CharField(max_length=500, blank=True, help_text="The project's own frames, the deepest last.")
    state = models.CharField(max_length=10, choices=GroupState.choices, default=GroupState.OPEN)
    assigned_to = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="jobroom_failures"
    )
    number = models.PositiveBigIntegerField(default=0)
    first_seen = models.DateTimeField(default=timezone.now)
    last_seen = models.DateTimeField(default=timezone.now)
    last_job = models.CharField(max_length=255, blank=True)
    resolved_at = models.DateTimeField(null=True, blank=True)
    came_back_at = models.DateTimeField(null=True, blank=True, help_text="When it was seen after it was resolved.")

    objects = FailureGroupQuerySet.as_manager()

    class Meta:
        verbose_name = "cause of failures"
        verbose_name_plural = "causes of failures"
        permissions = [("handle_failuregroup", "Can mute, assign and resolve causes of failures")]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["-last_seen", "-id"], name="failure_newest"),
            models.Index(fields=["state", "-last_seen", "-id"], name="failure_state"),
        ]

    def __str__(self) -> str:
        return f"{self.error_type}: {self.sentence}".strip(": ") or self.id

    def get_absolute_url(self) -> str:
        """Return the address of its page."""
        return reverse("jobroom:jobs:failure", args=[self.pk])


class FailureCount(models.Model):
    """How many jobs failed on one day for one cause, by task and worker."""

    group_id = models.CharField(max_length=32)
    day = models.DateField(help_text="Of UTC.")
    task = models.CharField(max_length=255)
    worker = models.CharField(max_length=255, blank=True)
    number = models.IntegerField(default=0)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["group_id", "day", "task", "worker"], name="failure_count_once"),
        ]

    def __str__(self) -> str:
        return f"{self.number} of {self.group_id} on {self.day}"

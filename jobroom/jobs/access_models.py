"""Tables of rights and limits: task rules, allowances, API tokens, and when a person was signed out everywhere."""

from typing import ClassVar

from django.conf import settings
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils import timezone

from jobroom.limits import Rate


class TaskRule(models.Model):
    """Who may do what with one task. Without a rule only staff may; jobs are always open to their owners."""

    task = models.CharField(max_length=255, unique=True)
    see = models.ManyToManyField(Group, blank=True, related_name="+", help_text="May see all jobs of the task.")
    launch = models.ManyToManyField(Group, blank=True, related_name="+", help_text="May launch the task.")
    arguments = models.ManyToManyField(
        Group, blank=True, related_name="+", help_text="May see arguments and results of others' jobs."
    )
    cancel = models.ManyToManyField(Group, blank=True, related_name="+", help_text="May cancel and retry others' jobs.")
    queues = models.JSONField(
        default=list, blank=True, help_text='Queues that may be chosen at launch, such as ["default", "heavy"].'
    )

    def __str__(self) -> str:
        return self.task


class ApiToken(models.Model):
    """Lets a program act as a person until it is revoked. Only a digest of the token itself is kept."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="jobroom_tokens")
    name = models.CharField(max_length=80, help_text="What it is for, such as “nightly import”.")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    def __str__(self) -> str:
        return f"{self.name} of {self.user}"


def check_rate(text: str) -> None:
    """Raise ValidationError, which says what a rate looks like, for a text that is none."""
    try:
        Rate.parse(text)
    except ValueError as error:
        raise ValidationError(str(error)) from error


class Allowance(models.Model):
    """What a person, or a group, may do more or less than the settings say. Empty fields leave it at that."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE, related_name="allowance"
    )
    group = models.OneToOneField(Group, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    launches = models.CharField(
        max_length=20, blank=True, validators=[check_rate], help_text="Launches, such as 600/m; 0 is no limit."
    )
    task_launches = models.CharField(
        max_length=20, blank=True, validators=[check_rate], help_text="Launches of the same task, such as 300/m."
    )
    uploads = models.CharField(max_length=20, blank=True, validators=[check_rate], help_text="Uploads, such as 120/m.")
    waiting = models.PositiveIntegerField(null=True, blank=True, help_text="Jobs that may wait; 0 is no limit.")
    bytes = models.PositiveBigIntegerField(null=True, blank=True, help_text="Bytes that are kept; 0 is no limit.")

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=Q(user__isnull=True) ^ Q(group__isnull=True),
                name="allowance_of_one",
                violation_error_message="Choose a person or a group, and not both.",
            ),
        ]

    def __str__(self) -> str:
        return f"allowance of {self.user or self.group}"


class SignOut(models.Model):
    """When a person ended all their tokens: JSON Web Tokens made before are worth nothing."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="sign_out")
    at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.user} at {self.at:%Y-%m-%d %H:%M:%S}"

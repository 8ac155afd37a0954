"""Tables of what a person keeps: presets of launches, and a profile."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone


class Preset(models.Model):
    """Arguments that someone keeps to launch a task with again, and how: `options` are the answers of when and where."""

    name = models.CharField(max_length=80)
    task = models.CharField(max_length=255)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="jobroom_presets")
    arguments = models.JSONField(default=dict, blank=True)
    queue = models.CharField(max_length=255, blank=True)
    options = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["owner", "task", "name"], name="preset_once"),
        ]

    def __str__(self) -> str:
        return self.name


class Profile(models.Model):
    """What a person has chosen for themselves."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="jobroom_profile")
    zone = models.CharField(
        max_length=64, blank=True, help_text="Time zone in which pages show times; empty: the site's."
    )
    pinned = models.JSONField(
        default=list, blank=True, help_text="Names of the tasks that come first in the catalogue."
    )
    views = models.JSONField(default=list, blank=True, help_text="Kept lists of jobs: pairs of a name and a query.")

    def __str__(self) -> str:
        return f"profile of {self.user}"

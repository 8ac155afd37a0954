"""What the settings said about each schedule; the schedules themselves are django-celery-beat's `PeriodicTask`."""

from django.db import models
from django_celery_beat.models import PeriodicTask


class SettingsSchedule(models.Model):
    """One entry of `CELERY_BEAT_SCHEDULE` as it was applied last: what differs from it, an admin has changed."""

    name = models.CharField(max_length=200, unique=True, help_text="The entry's name in the settings.")
    row = models.OneToOneField(PeriodicTask, on_delete=models.CASCADE, related_name="settings_schedule")
    fields = models.JSONField(default=dict, help_text="The row's fields as the settings gave them.")
    gone = models.BooleanField(default=False, help_text="The entry has left the settings.")

    def __str__(self) -> str:
        return self.name

"""What django-celery-beat's `PeriodicTask` has no column for; the schedules themselves are its rows."""

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


class ScheduleDetail(models.Model):
    """What beat had to mend about a schedule, who paused it and why, and the run that is to be left out."""

    row = models.OneToOneField(PeriodicTask, on_delete=models.CASCADE, related_name="detail")
    notice = models.CharField(max_length=300, blank=True, help_text="What beat found wrong with it and mended.")
    paused_by = models.CharField(max_length=150, blank=True)
    paused_at = models.DateTimeField(null=True, blank=True)
    pause_reason = models.CharField(max_length=300, blank=True)
    skip_at = models.DateTimeField(null=True, blank=True, help_text="The run of this moment is left out.")

    def __str__(self) -> str:
        return f"detail of {self.row.name}"

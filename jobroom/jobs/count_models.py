"""Tables of counts: finished jobs by the hour, and how long jobs waited and ran."""

from typing import ClassVar

from django.db import models


class HourTally(models.Model):
    """How many jobs of one task and owner ended in one hour, and how. The recorder keeps it: see `jobroom.jobs.hourly_counts`."""

    hour = models.DateTimeField(help_text="When it began.")
    task = models.CharField(max_length=255)
    owner_id = models.BigIntegerField(default=0, help_text="0 for a job without an owner.")
    state = models.CharField(max_length=10, help_text="How they ended.")
    number = models.IntegerField(default=0)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["hour", "task", "owner_id", "state"], name="hour_tally_once"),
        ]

    def __str__(self) -> str:
        return f"{self.number} {self.state} of {self.task} from {self.hour:%Y-%m-%d %H:%M}"


class DurationTally(models.Model):
    """How many waits or runs of one task, queue and owner in one slot of time took about as long: see `jobroom.jobs.durations`."""

    begin = models.DateTimeField(help_text="When the slot began.")
    minutes = models.SmallIntegerField(help_text="How long it is.")
    task = models.CharField(max_length=255)
    queue = models.CharField(max_length=255)
    owner_id = models.BigIntegerField(default=0, help_text="0 for a job without an owner.")
    what = models.CharField(max_length=4, help_text="wait or took.")
    bucket = models.SmallIntegerField(help_text="Which durations: a place in the row of buckets.")
    number = models.IntegerField(default=0)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["begin", "minutes", "task", "queue", "owner_id", "what", "bucket"], name="duration_tally_once"
            ),
        ]
        # The oldest slots of one size.
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["minutes", "begin"], name="duration_tally_old")]

    def __str__(self) -> str:
        return f"{self.number} ({self.what}) of {self.task} from {self.begin:%Y-%m-%d %H:%M}"

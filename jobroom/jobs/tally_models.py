"""Tables of what is counted as it happens."""

from typing import ClassVar

from django.db import models


class HourTally(models.Model):
    """How many jobs of one task and owner ended in one hour, and how. The recorder keeps it: see `jobroom.jobs.tallies`."""

    hour = models.DateTimeField(help_text="When it began.")
    task = models.CharField(max_length=255)
    owner_id = models.BigIntegerField(default=0, help_text="0 for a job of nobody.")
    state = models.CharField(max_length=10, help_text="How they ended.")
    number = models.IntegerField(default=0)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["hour", "task", "owner_id", "state"], name="hour_tally_once"),
        ]

    def __str__(self) -> str:
        return f"{self.number} {self.state} of {self.task} from {self.hour:%Y-%m-%d %H:%M}"

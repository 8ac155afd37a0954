"""The table of dead letters: messages that no worker could run."""

from typing import ClassVar

from django.db import models

from jobroom.workers.querysets import DeadLetterQuerySet


class DeadLetter(models.Model):
    """A message that was refused: its job has failed with the reason. The id is the position of its event."""

    id = models.BigIntegerField(primary_key=True)
    at = models.DateTimeField()
    job_id = models.CharField(max_length=255, blank=True, help_text="Empty where the message names none.")
    task = models.CharField(max_length=255, blank=True)
    queue = models.CharField(max_length=255, blank=True)
    worker = models.CharField(max_length=255, blank=True, help_text="The worker that refused it.")
    kind = models.CharField(max_length=20, help_text="unknown, invalid, undecodable, unreadable, repeated or rejected.")
    reason = models.TextField()
    head = models.TextField(blank=True, help_text="The beginning and the end of the raw message.")
    size = models.PositiveBigIntegerField(default=0, help_text="Bytes of the raw message.")

    objects = DeadLetterQuerySet.as_manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["-id"]

    def __str__(self) -> str:
        return f"{self.task or 'message'} {self.job_id}".strip()

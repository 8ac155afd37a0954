"""The table of pauses: which queues and tasks are paused, also when Redis has been emptied."""

from typing import Any, ClassVar

from django.db import models
from django.utils import timezone

from jobroom.celery.pauses import Paused


class Pause(models.Model):
    """A queue or a task from which no worker takes jobs until it is resumed."""

    kind = models.CharField(max_length=10, choices=[("queue", "queue"), ("task", "task")])
    name = models.CharField(max_length=255)
    by = models.CharField(max_length=150)
    reason = models.TextField(blank=True)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["kind", "name"], name="pause_once"),
        ]
        permissions: ClassVar[list[Any]] = [
            ("operate", "Can change queues, messages, pauses, workers and locks"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"

    @property
    def as_workers_read_it(self) -> Paused:
        """The same as Redis holds it."""
        return Paused(self.kind, self.name, self.by, self.reason, self.at.timestamp())

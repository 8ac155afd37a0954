"""The table of the audit: one row for each act. Rows are added, and neither changed nor removed."""

from typing import Any, ClassVar, NoReturn

from django.db import models
from django.utils import timezone

from jobroom.audit.exceptions import AppendOnly


class ActQuerySet(models.QuerySet["Act"]):
    """Reads of the audit; it offers no way to change it."""

    def newest_first(self) -> "ActQuerySet":
        """Return the acts, the newest first."""
        return self.order_by("-at", "-pk")

    def update(self, **kwargs: Any) -> NoReturn:
        """Refuse."""
        raise AppendOnly

    def delete(self) -> NoReturn:
        """Refuse."""
        raise AppendOnly


class Act(models.Model):
    """One act of a person: who did what to what, when, why, and what really happened."""

    at = models.DateTimeField(default=timezone.now)
    who = models.CharField(max_length=255, help_text="The name of the person, or of who used the command line.")
    action = models.CharField(max_length=40, help_text="Such as cancelled, purged, paused.")
    kind = models.CharField(max_length=40, help_text="What it was done to: job, queue, task, worker, lock, schedule.")
    target = models.CharField(max_length=255, help_text="Which one.")
    reason = models.TextField(blank=True, help_text="Why, in the words of the person.")
    outcome = models.TextField(blank=True, help_text="What really happened.")

    objects = ActQuerySet.as_manager()

    class Meta:
        # Each serves a filter of the page, newest first.
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["-at", "-id"], name="act_newest"),
            models.Index(fields=["kind", "target", "-at"], name="act_target"),
            models.Index(fields=["who", "-at"], name="act_who"),
        ]

    def __str__(self) -> str:
        return f"{self.who} {self.action} {self.kind} {self.target}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Add the row; raise AppendOnly for one that is there."""
        if not self._state.adding:
            raise AppendOnly
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse."""
        raise AppendOnly

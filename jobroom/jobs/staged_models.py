"""Tables of retries in stages: each with the jobs that it has sent again."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone


class StagedState(models.TextChoices):
    """Where a retry in stages is."""

    RUNNING = "running", "Under way"
    DONE = "done", "Done"
    HALTED = "halted", "Stopped by itself"
    STOPPED = "stopped", "Stopped"  # by a person


class StagedRetry(models.Model):
    """One cause of failures being retried: one job, then some, then the rest. See `jobroom.jobs.staged_retries`."""

    group_id = models.CharField(max_length=32, help_text="The cause.")
    state = models.CharField(max_length=10, choices=StagedState.choices, default=StagedState.RUNNING)
    stage = models.PositiveSmallIntegerField(default=1)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+", help_text="In whose name."
    )
    by_machine = models.BooleanField(default=False, help_text="Asked for in a shell, without a person's rights.")
    who = models.CharField(max_length=255, help_text="Who asked, as the audit has it.")
    total = models.PositiveIntegerField(default=0, help_text="Jobs that had failed so when it began.")
    why = models.CharField(max_length=500, blank=True, help_text="Why it ended.")
    created_at = models.DateTimeField(default=timezone.now)
    touched_at = models.DateTimeField(default=timezone.now, help_text="Its last step.")
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "retry in stages"
        verbose_name_plural = "retries in stages"
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["group_id"], condition=Q(state="running"), name="staged_retry_one"),
        ]
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["group_id", "-id"], name="staged_retry_newest")]

    def __str__(self) -> str:
        return f"retry in stages of {self.group_id}"


class StagedOutcome(models.TextChoices):
    """What became of one job."""

    SENDING = "sending", "Being sent"  # claimed: from here on this retry never sends it a second time
    SENT = "sent", "Sent, not ended yet"
    SUCCEEDED = "succeeded", "Succeeded"
    SAME = "same", "Failed for the same cause"
    OTHER = "other", "Ended otherwise"
    LEFT = "left", "Left alone"


class StagedJob(models.Model):
    """One job of a retry in stages. The row is written before the job is sent, so no job is sent twice."""

    retry = models.ForeignKey(StagedRetry, models.CASCADE, related_name="jobs")
    job_id = models.CharField(max_length=255)
    stage = models.PositiveSmallIntegerField()
    outcome = models.CharField(max_length=10, choices=StagedOutcome.choices, default=StagedOutcome.SENDING)
    why = models.CharField(max_length=500, blank=True, help_text="Why it was left alone.")
    # Where the job was in the events' stream before: what it says of itself since is about this run.
    queued_event = models.BigIntegerField(default=0)
    execution = models.CharField(max_length=64, blank=True)
    claimed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["retry", "job_id"], name="staged_job_once"),
        ]
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["retry", "outcome"], name="staged_job_outcome")]

    def __str__(self) -> str:
        return f"{self.job_id} in stage {self.stage}: {self.outcome}"

"""Tables beside django-celery-beat's `PeriodicTask`, whose rows are the schedules: details, policy, runs that were not sent."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django_celery_beat.models import PeriodicTask


class SettingsSchedule(models.Model):
    """One entry of `CELERY_BEAT_SCHEDULE` as it was applied last: what differs from it, an admin has changed."""

    name = models.CharField(max_length=200, unique=True, help_text="The entry's name in the settings.")
    row = models.OneToOneField(PeriodicTask, on_delete=models.CASCADE, related_name="settings_schedule")
    fields = models.JSONField(default=dict, help_text="The row's fields as the settings gave them.")
    gone = models.BooleanField(default=False, help_text="The entry has left the settings.")
    kept = models.JSONField(
        default=dict, help_text="What the settings said of the fields that someone chose to leave as they are."
    )
    kept_by = models.CharField(max_length=150, blank=True)

    def __str__(self) -> str:
        return self.name


class ScheduleDetail(models.Model):
    """What beat had to mend about a schedule, who paused it and why, and the run that is to be left out."""

    row = models.OneToOneField(PeriodicTask, on_delete=models.CASCADE, related_name="detail")
    notice = models.CharField(max_length=300, blank=True, help_text="What beat found wrong with it and mended.")
    paused_by = models.CharField(max_length=150, blank=True)
    paused_at = models.DateTimeField(null=True, blank=True)
    pause_reason = models.CharField(max_length=300, blank=True)
    paused_until = models.DateTimeField(null=True, blank=True, db_index=True, help_text="It runs again from then on.")
    resumed_at = models.DateTimeField(null=True, blank=True, help_text="The end of the last pause.")
    skip_at = models.DateTimeField(null=True, blank=True, help_text="The run of this moment is left out.")

    def __str__(self) -> str:
        return f"detail of {self.row.name}"


class Overlap(models.TextChoices):
    """What becomes of a run that is due while jobs of the same schedule wait or run."""

    ALLOW = "allow", "run beside them"
    SKIP = "skip", "skip the run"
    QUEUE_ONE = "queue one", "let one run wait"
    QUEUE_ALL = "queue all", "let all runs wait"
    CANCEL_OLD = "cancel old", "cancel the old job"


class Missed(models.TextChoices):
    """What becomes of runs that were due while no scheduler ran."""

    ONCE = "once", "make up one"
    SKIP = "skip", "skip them"
    ALL = "all", "make up all within a window"


class Closed(models.TextChoices):
    """What becomes of a run that its calendars do not allow."""

    SKIP = "skip", "skip it"
    MOVE = "move", "move it to the next time that is open"


class Calendar(models.Model):
    """Named days on which schedules do not run, or run only: holidays, freeze windows, weekends."""

    name = models.CharField(max_length=100, unique=True)
    description = models.CharField(max_length=300, blank=True)
    days = models.TextField(blank=True, help_text="One a line, see `jobroom.schedules.services.calendar_days`.")
    changed_by = models.CharField(max_length=150, blank=True)
    changed_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.name


class SchedulePolicy(models.Model):
    """What a schedule does when its runs overlap, were missed, fall on days of calendars or fail; a schedule without a row does as the defaults say."""

    row = models.OneToOneField(PeriodicTask, on_delete=models.CASCADE, related_name="policy")
    overlap = models.CharField(max_length=10, choices=Overlap.choices, default=Overlap.ALLOW)
    missed = models.CharField(max_length=10, choices=Missed.choices, default=Missed.ONCE)
    missed_window = models.PositiveIntegerField(
        default=86_400, help_text="Seconds: how old a run may be that is made up, where all are."
    )
    pause_after = models.PositiveSmallIntegerField(
        default=0, help_text="So many failures in a row pause the schedule; 0: none do."
    )
    jitter = models.PositiveIntegerField(
        default=0, help_text="Seconds: by at most so much a run is delayed, always alike for the same moment."
    )
    not_on = models.JSONField(default=list, blank=True, help_text="Names of calendars: it does not run then.")
    only_on = models.JSONField(default=list, blank=True, help_text="Names of calendars: it runs then alone.")
    closed = models.CharField(max_length=10, choices=Closed.choices, default=Closed.SKIP)
    last_job = models.CharField(max_length=255, blank=True, editable=False, help_text="The job that was sent last.")

    def __str__(self) -> str:
        return f"policy of {self.row.name}"


class RunState(models.TextChoices):
    """What became of a run that was not sent when it was due."""

    HELD = "held", "Waits"  # for the end of the job before it, or for its turn to be made up
    SENDING = "sending", "Being sent"  # one scheduler has taken it
    SENT = "sent", "Sent later"
    SKIPPED = "skipped", "Skipped"
    MISSED = "missed", "Missed"


class Which(models.TextChoices):
    """Which runs of a range are made by a backfill."""

    MISSING = "missing", "those that never ran"
    FAILED = "failed", "those that never ran, and those that did not succeed"
    ALL = "all", "all, those that succeeded too"


class BackfillState(models.TextChoices):
    """How far a backfill is."""

    RUNNING = "running", "Running"
    PAUSED = "paused", "Paused"
    DONE = "done", "Completed"
    CANCELLED = "cancelled", "Cancelled"


class Backfill(models.Model):
    """Runs of a schedule that are made for due times that have passed, so many at a time."""

    row = models.ForeignKey(PeriodicTask, on_delete=models.CASCADE, related_name="backfills")
    since = models.DateTimeField()
    until = models.DateTimeField()
    which = models.CharField(max_length=10, choices=Which.choices, default=Which.MISSING)
    newest_first = models.BooleanField(default=False)
    at_once = models.PositiveSmallIntegerField(default=1)
    total = models.PositiveIntegerField(default=0)
    state = models.CharField(max_length=10, choices=BackfillState.choices, default=BackfillState.RUNNING, db_index=True)
    by = models.CharField(max_length=150, blank=True, help_text="Who asked for it; empty: the command line.")
    reason = models.CharField(max_length=300, blank=True, help_text="Why it stands as it does.")
    in_flight = models.JSONField(default=list, help_text="Its jobs that have been sent and have not ended.")
    turn = models.PositiveIntegerField(
        default=0, help_text="Which look of a scheduler it was: one counts and sends at a time."
    )
    made_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"backfill {self.pk} of {self.row.name}"


class ScheduledRun(models.Model):
    """A run that was not sent when it was due, with the reason; what was sent in time is in the history of jobs."""

    row = models.ForeignKey(PeriodicTask, on_delete=models.CASCADE, related_name="runs", db_index=False)
    due = models.DateTimeField(help_text="The moment that it is for.")
    state = models.CharField(max_length=10, choices=RunState.choices)
    reason = models.CharField(max_length=300)
    job = models.CharField(max_length=255, blank=True, help_text="The job that was sent for it.")
    at = models.DateTimeField(default=timezone.now, help_text="When that was decided.")
    backfill = models.ForeignKey(Backfill, null=True, blank=True, on_delete=models.SET_NULL, related_name="runs")
    not_before = models.DateTimeField(null=True, blank=True, help_text="It waits until then, as its calendars say.")

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["row", "due"], name="scheduledrun_once"),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["due"], name="scheduledrun_open", condition=Q(state__in=["held", "sending"])),
        ]

    def __str__(self) -> str:
        return f"{self.row.name} of {self.due:%Y-%m-%d %H:%M:%S}"


class ScheduleMark(models.Model):
    """One change of schedules: which they were, and from which last change to which it led (`PeriodicTasks.last_update`)."""

    before = models.DateTimeField(null=True)
    after = models.DateTimeField()
    rows = models.JSONField(null=True, help_text="The ids of the schedules; null: too many to name them.")

    def __str__(self) -> str:
        return f"{len(self.rows or ())} schedules at {self.after:%Y-%m-%d %H:%M:%S}"

"""The database: jobs, their attempts and their log lines. Only the recorder and launches write here."""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.urls import reverse
from django.utils import timezone

from jobroom.celery import traces
from jobroom.conf import settings as jobroom_settings
from jobroom.events import attachments
from jobroom.jobs import task_titles
from jobroom.jobs.access_models import Allowance, ApiToken, SignOut, TaskRule, check_rate
from jobroom.jobs.archive_models import ArchivedResult
from jobroom.jobs.count_models import DurationTally, HourTally
from jobroom.jobs.failure_models import FailureCount, FailureGroup, GroupState
from jobroom.jobs.lateness_models import Expectation, ExpectedOf, LateKind, Lateness
from jobroom.jobs.personal_models import Preset, Profile
from jobroom.jobs.querysets import HAS_STARTED, HAS_TAKEN, JobQuerySet, StoredFileQuerySet, Took
from jobroom.jobs.staged_models import StagedJob, StagedOutcome, StagedRetry, StagedState

# Some tables are in modules of their own; Django and the rest of the project find all of them here.
__all__ = [
    "ACTIVE",
    "FINISHED",
    "WAITING",
    "Allowance",
    "ApiToken",
    "ArchivedResult",
    "Attempt",
    "Caching",
    "DurationTally",
    "Expectation",
    "ExpectedOf",
    "FailureCount",
    "FailureGroup",
    "GroupState",
    "HourTally",
    "Job",
    "LateKind",
    "Lateness",
    "LogLine",
    "Preset",
    "Profile",
    "SignOut",
    "Source",
    "StagedJob",
    "StagedOutcome",
    "StagedRetry",
    "StagedState",
    "State",
    "StoredFile",
    "TaskRule",
    "check_rate",
]


class State(models.TextChoices):
    """The states of a job; an attempt uses those from RUNNING on, and QUEUED and RETRYING for how it ended."""

    SCHEDULED = "scheduled", "Scheduled"  # waits for its time
    QUEUED = "queued", "Queued"  # waits for a worker, or for the lock that `lock` names
    RUNNING = "running", "Running"  # a worker executes it
    RETRYING = "retrying", "Retrying"  # an attempt failed, the next one is on its way
    SUCCEEDED = "succeeded", "Succeeded"  # its task returned
    FAILED = "failed", "Failed"  # its task said so or raised, or ran into its hard time limit
    CANCELLED = "cancelled", "Cancelled"  # someone did not want it any more, or it expired
    SKIPPED = "skipped", "Skipped"  # its exclusive lock was busy; to Celery that is SUCCESS
    LOST = "lost", "Lost"  # its worker vanished


ACTIVE = frozenset({State.SCHEDULED, State.QUEUED, State.RUNNING, State.RETRYING})
WAITING = frozenset({State.SCHEDULED, State.QUEUED, State.RETRYING})
FINISHED = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED, State.SKIPPED, State.LOST})


class Source(models.TextChoices):
    """How a job came to be."""

    PAGE = "page", "a page"
    API = "api", "the API"
    COMMAND = "command", "the command line"
    SCHEDULE = "schedule", "a schedule"
    CODE = "code", "code"
    TASK = "task", "another job"
    WORKFLOW = "workflow", "a workflow"


class Caching(models.TextChoices):
    """How a job deals with the answers that its task keeps."""

    USE = "", "Take a kept answer"
    FORCE = "force", "Compute, and replace the kept answer"
    RECALCULATE = "recalculate", "Compute from the kept answer, and replace it"
    NO_CACHE = "no_cache", "Compute, and keep nothing"


class Job(models.Model):
    """One launch of a task. Its id is the Celery task id."""

    id = models.CharField(primary_key=True, max_length=255, editable=False)
    task = models.CharField(max_length=255, blank=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    args = models.JSONField(default=list, blank=True, help_text="Positional arguments, secrets hidden.")
    kwargs = models.JSONField(default=dict, blank=True, help_text="Named arguments, secrets hidden.")
    label = models.CharField(max_length=120, blank=True, help_text="Made from the arguments.")
    queue = models.CharField(max_length=255, blank=True)
    priority = models.SmallIntegerField(null=True, blank=True)
    source = models.CharField(max_length=10, choices=Source.choices, blank=True)
    schedule = models.CharField(max_length=255, blank=True, help_text="Name of the schedule that launched it.")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="jobroom_jobs",
        db_index=False,
    )
    parent_id = models.CharField(max_length=255, blank=True, help_text="The job that launched this one.")
    root_id = models.CharField(max_length=255, blank=True, help_text="The first job of that chain.")
    workflow_id = models.CharField(max_length=64, blank=True, help_text="The workflow that it is a node of.")
    node = models.CharField(max_length=40, blank=True, help_text="Which node of it: index, or index.item.")
    may_rerun = models.BooleanField(default=False, help_text="The task says that it may run twice (acks_late).")

    # Of the current attempt: the one that started last.
    execution = models.CharField(max_length=64, blank=True)
    worker = models.CharField(max_length=255, blank=True, help_text="Node name, such as default@host.")
    instance = models.CharField(max_length=255, blank=True, help_text="The worker process, unique over time.")
    attempts = models.PositiveIntegerField(default=0)
    # fraction, current, total, message, stage, execution, event, at
    progress = models.JSONField(default=dict, blank=True)
    lock = models.CharField(max_length=255, blank=True, help_text="The lock that it waits for.")
    holder = models.CharField(max_length=255, blank=True, help_text="The job that held the lock.")

    caching = models.CharField(max_length=11, choices=Caching.choices, blank=True, default=Caching.USE)
    answer_of = models.CharField(
        max_length=255,
        blank=True,
        help_text="The job that computes the same: this one waits for its answer, or got it.",
    )
    likeness = models.FloatField(null=True, blank=True, help_text="Of a near-duplicate to this job, 0 to 1.")

    cancel_by = models.CharField(max_length=150, blank=True, help_text="Who asked to cancel it.")
    cancel_at = models.DateTimeField(null=True, blank=True)
    note = models.TextField(blank=True, help_text="Why it was launched.")
    tags = models.JSONField(default=list, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    run_after = models.DateTimeField(null=True, blank=True)
    queued_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    result = models.JSONField(null=True, blank=True)
    error = models.TextField(blank=True)
    error_type = models.CharField(max_length=255, blank=True)
    traceback = models.TextField(blank=True)
    fingerprint = models.CharField(
        max_length=32, blank=True, default="", editable=False, help_text="Of the cause of its failure."
    )

    # Positions in the events' stream: what the recorder needs to apply events in any order, and twice.
    last_event = models.BigIntegerField(default=0, editable=False)
    # The event from which its state follows: others may come later, such as a line of the log. 0 where none is known.
    state_event = models.BigIntegerField(default=0, editable=False)
    queued_event = models.BigIntegerField(default=0, editable=False)
    # `closing`: the end that someone other than the executing process reported (revoked, killed, its worker vanished).
    # `waited`: the last executions that only found a lock busy and are not kept as attempts.
    facts = models.JSONField(default=dict, blank=True, editable=False)

    objects = JobQuerySet.as_manager()

    class Meta:
        # Each index serves one list page; all end in (created_at, id), which is where the next page begins.
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["-created_at", "-id"], name="job_newest"),
            models.Index(fields=["state", "-created_at", "-id"], name="job_state"),
            models.Index(fields=["task", "-created_at", "-id"], name="job_task"),
            models.Index(fields=["queue", "-created_at", "-id"], name="job_queue"),
            models.Index(fields=["owner", "-created_at", "-id"], name="job_owner", condition=Q(owner__isnull=False)),
            models.Index(
                fields=["owner", "state", "-created_at", "-id"],
                name="job_owner_state",
                condition=Q(owner__isnull=False),
            ),
            models.Index(fields=["schedule", "-created_at"], name="job_schedule", condition=~Q(schedule="")),
            models.Index(fields=["parent_id"], name="job_parent", condition=~Q(parent_id="")),
            models.Index(fields=["workflow_id", "node"], name="job_node", condition=~Q(workflow_id="")),
            # Whose answer it is: what must not be deleted yet, and who waits.
            models.Index(fields=["answer_of"], name="job_answer_of", condition=~Q(answer_of="")),
            # The place of a waiting job.
            models.Index(fields=["queue", "queued_at", "id"], name="job_waiting", condition=Q(state="queued")),
            # The worker's jobs when it vanishes.
            models.Index(fields=["instance"], name="job_instance", condition=Q(state="running")),
            # What failed lately: few rows, by their end.
            models.Index(
                fields=["-finished_at", "-id"], name="job_failures", condition=Q(state__in=["failed", "lost"])
            ),
            # Failures with one cause.
            models.Index(
                fields=["fingerprint", "-finished_at", "-id"], name="job_fingerprint", condition=~Q(fingerprint="")
            ),
            # Failures from before causes were kept; empty when all have one.
            models.Index(
                fields=["-finished_at", "-id"],
                name="job_without_cause",
                condition=Q(state__in=["failed", "lost"], fingerprint="", answer_of=""),
            ),
            # The other orders of the list.
            models.Index(fields=["-started_at", "-id"], name="job_started", condition=HAS_STARTED),
            models.Index(Took().desc(), F("id").desc(), name="job_took", condition=HAS_TAKEN),
        ]

    def __str__(self) -> str:
        return f"{task_titles.title(self.task)} {self.label}".strip() or self.id

    def get_absolute_url(self) -> str:
        """Return the address of the job's page."""
        return reverse("jobroom:jobs:job", args=[self.pk])

    # Of an object that was just made, not of the row: whether a look for its files is worth it.
    may_have_files = True
    # Files that it attached and that are not in the database yet; set by `jobroom.jobs.current_state`.
    unrecorded_files: "Sequence[StoredFile]" = ()
    # Its attempts with what is not in the database yet; None where all are. Set there too.
    known_attempts: "Sequence[Attempt] | None" = None

    @property
    def is_finished(self) -> bool:
        """Whether nothing more is expected of the job."""
        return self.state in FINISHED

    @property
    def is_answered(self) -> bool:
        """Whether its end is that of another job, which computed the same."""
        return bool(self.answer_of) and self.is_finished

    @property
    def is_following(self) -> bool:
        """Whether it waits for another job, which computes the same."""
        return bool(self.answer_of) and not self.is_finished

    @property
    def gave_its_place(self) -> bool:
        """Whether it waits for tasks that took its place (`self.replace`), the last of which goes on under its id."""
        return self.state == State.QUEUED and self.facts.get("replaced", {}).get("event", 0) > self.queued_event

    @property
    def is_in_batch(self) -> bool:
        """Whether another job ran its call, together with others."""
        return self.is_answered and bool(self.facts.get("answered", {}).get("batch"))

    @property
    def is_superseded(self) -> bool:
        """Whether it was skipped because a later call took its place, and not for a lock."""
        return self.state == State.SKIPPED and " superseded by job " in (self.result or "")

    @property
    def trace_url(self) -> str:
        """The address of its trace; empty where there is none, or no `TRACE_URL`."""
        trace = traces.trace_of(self.facts.get("trace", {}).get("header", ""))
        return jobroom_settings.TRACE_URL.replace("{trace_id}", trace) if trace else ""

    @property
    def runtime(self) -> timedelta | None:
        """How long the current attempt has run, or ran."""
        if self.started_at is None or (self.answer_of and self.state != State.RUNNING):
            return None  # another job did the work
        end = self.finished_at or (timezone.now() if self.state == State.RUNNING else None)
        return max(end - self.started_at, timedelta()) if end else None

    @property
    def moment(self) -> tuple[str, datetime]:
        """The time that says most about the job now, with what it is of: its end, its start, or for when it waits."""
        if self.state in FINISHED and self.finished_at:
            return "ended", self.finished_at
        if self.state == State.RUNNING and self.started_at:
            return "started", self.started_at
        if self.state in (State.SCHEDULED, State.RETRYING) and self.run_after:
            return "runs", self.run_after
        return ("queued", self.queued_at) if self.queued_at else ("launched", self.created_at)

    @property
    def fraction(self) -> float | None:
        """The share of the work that is done, 0 to 1; None when no one knows."""
        if self.state == State.SUCCEEDED:
            return 1.0
        if self.progress.get("execution") != self.execution:
            return None
        value: float | None = self.progress.get("fraction")
        return value


class Attempt(models.Model):
    """One execution of a job by a worker; a retry is a new attempt, and so is a second delivery."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="attempt_set", db_index=False)
    execution = models.CharField(max_length=64)
    number = models.PositiveIntegerField(default=1)
    worker = models.CharField(max_length=255, blank=True)
    instance = models.CharField(max_length=255, blank=True)
    pid = models.PositiveBigIntegerField(null=True, blank=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.RUNNING)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    waited = models.FloatField(null=True, blank=True, help_text="Seconds from its turn to its start, if it had one.")
    runtime = models.FloatField(null=True, blank=True, help_text="Seconds.")
    result = models.JSONField(null=True, blank=True)
    error = models.TextField(blank=True)
    error_type = models.CharField(max_length=255, blank=True)
    error_bases = models.JSONField(
        default=list, blank=True, help_text="Full names of the error's class and of its bases, as they were raised."
    )
    traceback = models.TextField(blank=True)
    lock = models.CharField(max_length=255, blank=True)
    holder = models.CharField(max_length=255, blank=True)
    started_event = models.BigIntegerField(null=True, editable=False)
    finished_event = models.BigIntegerField(
        null=True, editable=False
    )  # None: its end was not reported, it was concluded

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["job", "execution"], name="attempt_once"),
        ]

    def __str__(self) -> str:
        return f"attempt {self.number} of {self.job_id}"


class LogLine(models.Model):
    """One line that a job wrote to its log. The id is the position of its event, so it is in order and there once."""

    id = models.BigIntegerField(primary_key=True)
    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="log_lines", db_index=False)
    execution = models.CharField(max_length=64, blank=True)
    at = models.DateTimeField()
    level = models.CharField(max_length=10, default="info")
    message = models.TextField(blank=True)
    obj = models.CharField(max_length=255, blank=True, help_text="What the line is about.")

    class Meta:
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["job", "id"], name="logline_job")]

    def __str__(self) -> str:
        return self.message


class StoredFile(models.Model):
    """An uploaded file, or one that a job made. Its content lies below MEDIA_ROOT under its id, never under its name."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=255, help_text="As a person called it.")
    content_type = models.CharField(max_length=100, default="application/octet-stream")
    size = models.PositiveBigIntegerField(help_text="Bytes.")
    sha256 = models.CharField(max_length=64, blank=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="jobroom_files"
    )
    job_id = models.CharField(max_length=255, blank=True, db_index=True, help_text="The job that made it.")
    uploaded = models.BooleanField(
        default=False, editable=False, help_text="A person brought it: never shown in place."
    )
    created_at = models.DateTimeField(default=timezone.now)

    objects = StoredFileQuerySet.as_manager()

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """Return the address to download it."""
        return reverse("jobroom:jobs:file", args=[self.pk])

    @property
    def path(self) -> Path:
        """Where the content lies."""
        return attachments.location(self.pk)

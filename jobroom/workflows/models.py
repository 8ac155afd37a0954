"""Tables of workflows: each with its graph, and the state of every node as one character of a text."""

import uuid
from collections import Counter
from datetime import datetime, timedelta
from typing import ClassVar

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from jobroom.workflows.graph import Graph, in_words
from jobroom.workflows.querysets import StoredWorkflowQuerySet


class State(models.TextChoices):
    """The states of a workflow: the five of celery-dyrygent, and what they lack."""

    INITIAL = "INITIAL", "Initial"  # in the database, not started
    RUNNING = "RUNNING", "Running"
    PAUSED = "PAUSED", "Paused"  # what runs goes on, nothing more is started
    SUCCESS = "SUCCESS", "Succeeded"  # every node succeeded
    FAILURE = "FAILURE", "Failed"  # nothing more can run, and something failed
    ERROR = "ERROR", "Error"  # it ran into its time limit, or the engine could not go on
    CANCELLED = "CANCELLED", "Cancelled"  # someone did not want it any more


ACTIVE = frozenset({State.INITIAL, State.RUNNING, State.PAUSED})
FINISHED = frozenset({State.SUCCESS, State.FAILURE, State.ERROR, State.CANCELLED})


def new_id() -> str:
    """Return the id of a new workflow."""
    return str(uuid.uuid4())


class Definition(models.Model):
    """A workflow that is described in a file or in Python, and can be launched by its name."""

    name = models.CharField(max_length=120, unique=True)
    title = models.CharField(max_length=200, blank=True)
    description = models.TextField(blank=True, help_text="Markdown.")
    enabled = models.BooleanField(default=True)
    launch = models.ManyToManyField(Group, blank=True, related_name="+", help_text="May launch it, beside staff.")
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.title or self.name

    def get_absolute_url(self) -> str:
        """Return the address of its launch page."""
        return reverse("jobroom:workflows:definition", args=[self.name])


class DefinitionVersion(models.Model):
    """One text of a definition. A workflow keeps the version that it was launched from."""

    definition = models.ForeignKey(Definition, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    source = models.TextField(help_text="YAML.")
    sha256 = models.CharField(max_length=64)
    origin = models.CharField(max_length=255, blank=True, help_text="Where it came from: a file of an app, a person.")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["definition", "number"], name="definition_version_once"),
        ]

    def __str__(self) -> str:
        return f"{self.definition.name} {self.number}"


class StoredWorkflow(models.Model):
    """One running or finished workflow."""

    id = models.CharField(primary_key=True, max_length=64, default=new_id, editable=False)
    name = models.CharField(max_length=200, blank=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.INITIAL)
    graph = models.TextField(editable=False, help_text="JSON, see jobroom.workflows.graph.")
    total = models.PositiveIntegerField(default=0, help_text="Nodes, the handlers not counted.")
    node_states = models.TextField(blank=True, editable=False, help_text="The state of each node in one character.")
    counts = models.JSONField(default=dict, blank=True, help_text="How many nodes are in each state.")
    items = models.JSONField(default=dict, blank=True, help_text="Of each fan-out running or done: how many jobs.")

    definition = models.ForeignKey(
        DefinitionVersion, null=True, blank=True, on_delete=models.SET_NULL, related_name="workflows"
    )
    payload = models.JSONField(default=dict, blank=True, help_text="What it was launched with.")
    custom_payload = models.JSONField(default=dict, blank=True)
    options = models.JSONField(default=dict, blank=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="jobroom_workflows"
    )
    source = models.CharField(max_length=10, blank=True)
    schedule = models.CharField(max_length=255, blank=True)
    rerun_of = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="reruns")
    note = models.TextField(blank=True)

    result = models.JSONField(null=True, blank=True)
    error = models.TextField(blank=True)
    epoch = models.PositiveIntegerField(default=0, help_text="How often it was started: resumed, or made again.")
    cancel_by = models.CharField(max_length=150, blank=True)
    cancel_at = models.DateTimeField(null=True, blank=True)
    decisions = models.JSONField(default=dict, blank=True, help_text="Of each approval: who, when, what, why.")
    waiting_since = models.JSONField(
        default=dict, blank=True, help_text="Of each approval: since when it is waited for."
    )
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    deadline_at = models.DateTimeField(null=True, blank=True)
    idle = models.DurationField(
        default=timedelta,
        editable=False,
        help_text="How long it lay finished before it was resumed, all times together.",
    )

    objects = StoredWorkflowQuerySet.as_manager()

    class Meta:
        verbose_name = "workflow"
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["-created_at", "-id"], name="workflow_newest"),
            models.Index(fields=["state", "-created_at", "-id"], name="workflow_state"),
            models.Index(
                fields=["owner", "-created_at", "-id"], name="workflow_owner", condition=Q(owner__isnull=False)
            ),
            models.Index(fields=["name", "-created_at", "-id"], name="workflow_name"),
        ]

    def __str__(self) -> str:
        return self.name or self.id

    def get_absolute_url(self) -> str:
        """Return the address of its page."""
        return reverse("jobroom:workflows:workflow", args=[self.pk])

    @property
    def title(self) -> str:
        """What people read: the title of its definition, else its name in words, else its id."""
        if self.definition is not None and self.definition.definition.title:
            return self.definition.definition.title
        return in_words(self.name) if self.name else self.id

    @property
    def is_finished(self) -> bool:
        """Whether nothing more will run, unless someone resumes it."""
        return self.state in FINISHED

    @property
    def runtime(self) -> timedelta | None:
        """How long it has run, or ran; the time between an end and its resumption is not counted."""
        if self.started_at is None:
            return None
        return max((self.finished_at or timezone.now()) - self.started_at - self.idle, timedelta())

    @property
    def moment(self) -> tuple[str, datetime]:
        """The time that says most about it now, with what it is of: its end or its start."""
        if self.is_finished and self.finished_at:
            return "ended", self.finished_at
        return ("started", self.started_at) if self.started_at else ("made", self.created_at)

    def read_graph(self) -> Graph:
        """Return the graph."""
        return Graph.loads(self.graph)

    def set_node_states(self, node_states: str) -> None:
        """Set the states, and the counts with them."""
        self.node_states = node_states
        self.counts = dict(Counter(node_states))

"""REST serializers of jobs, tasks and files."""

from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.urls import reverse
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from jobroom.arguments.redaction import hide
from jobroom.jobs import catalogue, control, current_state, error_kinds, lateness, policies
from jobroom.jobs.catalogue import TaskEntry
from jobroom.jobs.kept_serializers import kept
from jobroom.jobs.models import ApiToken, Job, Source, State, StoredFile
from jobroom.jobs.reasons import Why
from jobroom.jobs.topics import progress_of
from jobroom.jobs.why_it_waits import why
from jobroom.users import User


class PlainJSON(serializers.JSONField):
    """JSON with its secrets hidden: what passes between the nodes of a workflow is kept with them sealed."""

    def to_representation(self, value: Any) -> Any:
        """Return what is shown."""
        return hide(super().to_representation(value))


class Launched(serializers.Serializer[Job]):
    """A job that was launched and whose end is not known."""

    id = serializers.CharField()
    state = serializers.ChoiceField(choices=State.choices)
    url = serializers.SerializerMethodField()

    def get_url(self, job: Job) -> str:
        """Return the address of the job in the API."""
        return reverse("jobroom:api:job", args=[job.pk])


class ActionResult(Launched):
    """What became of a request about a job."""

    detail = serializers.CharField()


class Progress(serializers.Serializer[Any]):
    """How far the current attempt is."""

    fraction = serializers.FloatField(allow_null=True, help_text="0 to 1, null when it is not known.")
    current = serializers.FloatField(allow_null=True)
    total = serializers.FloatField(allow_null=True)
    message = serializers.CharField(allow_blank=True)
    stage = serializers.CharField(allow_blank=True)


class JobRow(serializers.ModelSerializer[Job]):
    """A job as lists show it. `label` is made from the arguments and null for who may not read those."""

    url = serializers.SerializerMethodField()
    owner = serializers.CharField(source="owner.get_username", allow_null=True, default=None, read_only=True)
    source = serializers.ChoiceField(  # type: ignore[assignment]  # a column of ours, an option of theirs
        choices=["", *Source.values], read_only=True, help_text="How it came to be; empty while it is not known yet."
    )
    label = serializers.SerializerMethodField()  # type: ignore[assignment]  # a column of ours, an option of theirs
    progress = serializers.SerializerMethodField()
    from_cache = serializers.BooleanField(
        source="is_answered",
        read_only=True,
        help_text="Its end is that of another job, which computed the same or ran its batch.",
    )

    class Meta:
        model = Job
        fields: tuple[str, ...] = (
            *("id", "url", "task", "label", "state", "owner", "source", "schedule", "queue", "priority", "attempts"),
            *("created_at", "run_after", "queued_at", "started_at", "finished_at", "progress", "from_cache"),
        )
        read_only_fields: tuple[str, ...] = fields

    @property
    def user(self) -> User | AnonymousUser:
        """Who asks."""
        user: User | AnonymousUser = self.context["user"]
        return user

    def get_url(self, job: Job) -> str:
        """Return the address of the job in the API."""
        return reverse("jobroom:api:job", args=[job.pk])

    def get_label(self, job: Job) -> str | None:
        """Return the label for who may read the arguments."""
        return job.label if policies.may_see_arguments(self.user, job) else None

    @extend_schema_field(Progress(allow_null=True))
    def get_progress(self, job: Job) -> dict[str, Any] | None:
        """Return the progress of the current attempt."""
        return progress_of(job, readable=policies.may_see_arguments(self.user, job))


class FileRow(serializers.ModelSerializer[StoredFile]):
    """A file: what its name says is for people, and proves nothing."""

    url = serializers.SerializerMethodField()

    class Meta:
        model = StoredFile
        fields = ("id", "name", "size", "sha256", "url", "created_at")
        read_only_fields: tuple[str, ...] = fields

    def get_url(self, stored: StoredFile) -> str:
        """Return the address of the content in the API."""
        return reverse("jobroom:api:file", args=[stored.pk])


class Hidden(serializers.Serializer[Job]):
    """What only those see who may read the arguments of the job."""

    arguments = serializers.SerializerMethodField()
    result = PlainJSON(read_only=True)
    error = serializers.CharField(read_only=True)
    error_type = serializers.CharField(read_only=True)
    error_bases = serializers.SerializerMethodField(
        help_text="Full names of the class of the error and of its bases, as they were raised; empty where none was."
    )
    traceback = serializers.CharField(read_only=True)
    note = serializers.CharField(read_only=True)
    files = serializers.SerializerMethodField()

    def get_arguments(self, job: Job) -> dict[str, Any]:
        """Return the arguments by name, secrets hidden."""
        return dict(catalogue.named_arguments(job))

    def get_error_bases(self, job: Job) -> list[str]:
        """Return the class of the error and its bases."""
        return error_kinds.bases_of(job)

    @extend_schema_field(FileRow(many=True))
    def get_files(self, job: Job) -> Any:
        """Return the files that the job made, or that came with the answer it got."""
        if not job.may_have_files:
            return []
        return [kept.shown(FileRow, stored) for stored in current_state.files_of(job)]


class Whether(serializers.Serializer[Any]):
    """Why something cannot be done to the job now; null when it can."""

    cancel = serializers.CharField(allow_null=True)
    retry = serializers.CharField(allow_null=True)


class Mend(serializers.Serializer[Any]):
    """Where it is mended that a job does not start."""

    kind = serializers.CharField(
        help_text="paused, silent, unserved, stuck, quiet, resource, lock, turn or late: what keeps it."
    )
    what = serializers.CharField(help_text="What is done there, in words.")
    url = serializers.CharField(help_text="The page.")


class JobDetail(JobRow):
    """One job. `content` is null for who may not read the arguments."""

    answer_of = serializers.SerializerMethodField()
    parent_id = serializers.SerializerMethodField()
    root_id = serializers.SerializerMethodField()
    lock = serializers.SerializerMethodField()
    holder = serializers.SerializerMethodField()
    waiting = serializers.SerializerMethodField(
        help_text="Why it has not started, and what is in front; null unless it is queued and was asked for by its id."
    )
    mend = serializers.SerializerMethodField(
        help_text="Where that is mended, for staff; null where nothing is to be done, or one may not see it."
    )
    lateness = serializers.SerializerMethodField(help_text="Sentences: late or about to be, longer than usual, silent.")
    content = serializers.SerializerMethodField()
    why_not = serializers.SerializerMethodField()

    class Meta(JobRow.Meta):
        fields = (
            *JobRow.Meta.fields,
            *("tags", "worker", "parent_id", "root_id", "lock", "holder", "cancel_by", "cancel_at", "last_event"),
            *("caching", "answer_of", "likeness", "waiting", "mend", "lateness", "content", "why_not"),
        )
        read_only_fields: tuple[str, ...] = fields

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_answer_of(self, job: Job) -> str | None:
        """Return the job that computes or computed the same; null where there is none, or one may not see it.

        Who sees all jobs gets it without a query: the database may not hold it any more.
        """
        return self._if_seen(job, job.answer_of) or None

    def get_parent_id(self, job: Job) -> str:
        """Return the job that launched it; empty where there is none, or one may not see it."""
        return self._if_seen(job, job.parent_id)

    def get_root_id(self, job: Job) -> str:
        """Return the first of the jobs that launched each other; empty where there is none, or one may not see it."""
        return self._if_seen(job, job.root_id)

    def get_lock(self, job: Job) -> str:
        """Return the lock that it waits for; empty where there is none, or one may not see arguments, which its name may hold."""
        return job.lock if policies.may_see_arguments(self.user, job) else ""

    def get_holder(self, job: Job) -> str:
        """Return the job that held its lock; empty where there is none, or one may not see it."""
        return self._if_seen(job, job.holder)

    def _if_seen(self, job: Job, other: str) -> str:
        if not other or other == job.pk or policies.sees_all(self.user):
            return other
        return other if Job.objects.visible_to(self.user).filter(pk=other).exists() else ""

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_waiting(self, job: Job) -> str | None:
        """Return what the job's page says; nothing in the answer to a launch, which must be quick."""
        found = self._why(job)
        return found.said if found is not None else None

    @extend_schema_field(Mend(allow_null=True))
    def get_mend(self, job: Job) -> dict[str, str] | None:
        """Return the kind of the reason and where it is mended."""
        found = self._why(job)
        return (
            {"kind": found.kind, "what": found.remedy, "url": found.path} if found is not None and found.path else None
        )

    def _why(self, job: Job) -> Why | None:
        if not self.context.get("explain") or not isinstance(self.user, User):
            return None
        # In the context, which is of one answer: the serializer itself is used again for others.
        reasons: dict[str, Why | None] = self.context["reasons"]
        if job.pk not in reasons:
            reasons[job.pk] = why(job, self.user)
        return reasons[job.pk]

    def get_lateness(self, job: Job) -> list[str]:
        """Return what the job's page says; nothing in the answer to a launch."""
        return lateness.sentences(job) if self.context.get("explain") else []

    @extend_schema_field(Hidden(allow_null=True))
    def get_content(self, job: Job) -> Any:
        """Return arguments, result, error and files for who may read them."""
        return kept.shown(Hidden, job) if policies.may_see_arguments(self.user, job) else None

    @extend_schema_field(Whether)
    def get_why_not(self, job: Job) -> dict[str, str | None]:
        """Return the reasons that pages show at disabled buttons."""
        if not isinstance(self.user, User):
            return {"cancel": None, "retry": None}
        return {
            "cancel": control.why_not_cancel(job, self.user) or None,
            "retry": control.why_not_retry(job, self.user) or None,
        }


def detail_of(job: Job, user: User, *, explain: bool = False) -> dict[str, Any]:
    """Return the job as `user` may see it; with `explain` also why it waits."""
    return kept.shown(JobDetail, job, user=user, explain=explain, reasons={})


class JobPage(serializers.Serializer[Any]):
    """One page of jobs, newest first."""

    next = serializers.CharField(allow_null=True, help_text="Address of the page with older jobs.")
    results = JobRow(many=True)


class EventRow(serializers.Serializer[Any]):
    """Progress, a line of the log, or a file; what the type does not have is left out."""

    seq = serializers.IntegerField()
    type = serializers.ChoiceField(choices=["progress", "log"])
    at = serializers.FloatField(help_text="Seconds since 1970.")


class EventPage(serializers.Serializer[Any]):
    """What happened to a job after a sequence number, oldest first."""

    state = serializers.ChoiceField(choices=State.choices)
    last = serializers.IntegerField(help_text="Ask again with `after` of this.")
    more = serializers.BooleanField(help_text="There are more events than one answer holds: ask again at once.")
    events = EventRow(many=True)


class TaskRow(serializers.Serializer[TaskEntry]):
    """One task of the catalogue."""

    name = serializers.CharField()
    url = serializers.SerializerMethodField()
    summary = serializers.CharField(allow_blank=True)
    queue = serializers.CharField(help_text="Where it goes when none is chosen.")
    may_rerun = serializers.BooleanField(help_text="It is run again when its worker vanishes.")
    may_launch = serializers.SerializerMethodField()

    def get_url(self, task: TaskEntry) -> str:
        """Return the address of the task in the API."""
        return reverse("jobroom:api:task", args=[task.name])

    def get_may_launch(self, task: TaskEntry) -> bool:
        """Return whether who asks may launch it."""
        return policies.may_launch(self.context["user"], task.name)


class TaskDetail(TaskRow):
    """One task with the JSON Schema of its arguments."""

    description = serializers.CharField(source="details", allow_blank=True, help_text="Markdown.")
    queues = serializers.ListField(child=serializers.CharField(), help_text="Which one may choose from.")
    arguments = serializers.DictField(help_text="JSON Schema (2020-12).")


class Upload(serializers.Serializer[Any]):
    """A file to keep."""

    file = serializers.FileField(allow_empty_file=True)


class TokenRow(serializers.ModelSerializer[ApiToken]):
    """An API token, of which only the name is ever shown again."""

    class Meta:
        model = ApiToken
        fields: tuple[str, ...] = ("id", "name", "created_at", "last_used_at", "revoked_at")
        read_only_fields = ("id", "created_at", "last_used_at", "revoked_at")


class NewToken(TokenRow):
    """A new API token, this once with its text."""

    token = serializers.CharField(read_only=True)

    class Meta(TokenRow.Meta):
        fields = (*TokenRow.Meta.fields, "token")


class Problem(serializers.Serializer[Any]):
    """An error as RFC 9457 has it."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    errors = serializers.DictField(  # type: ignore[assignment]  # the RFC's examples call it so
        child=serializers.ListField(child=serializers.CharField()), required=False
    )

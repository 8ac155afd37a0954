"""Reusable reads of jobs."""

from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Exists, F, FloatField, Func, OuterRef, Q

from jobroom.jobs import policies
from jobroom.users import User

if TYPE_CHECKING:
    from jobroom.jobs.models import Job, StoredFile  # noqa: F401 — named in the base classes below


# What the orders by start and by length show; their indexes are of these rows alone.
HAS_STARTED = Q(started_at__isnull=False)
HAS_TAKEN = Q(started_at__isnull=False, finished_at__isnull=False, answer_of="")


class Took(Func):
    """Seconds from the start of a job's last attempt to its end; the index `job_took` is of this expression."""

    output_field = FloatField()

    def __init__(self) -> None:
        super().__init__(F("finished_at"), F("started_at"))

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> tuple[str, tuple[str | int, ...]]:
        """Return the expression of SQLite, of functions that every program with the file has."""
        text, values = self.as_sql(
            compiler, connection, template="((julianday(%(expressions)s)) * 86400.0)", arg_joiner=") - julianday("
        )
        return text, tuple(values)

    def as_postgresql(self, compiler: Any, connection: Any, **extra: Any) -> tuple[str, list[Any]]:
        """Return the expression of PostgreSQL."""
        template = "CAST(EXTRACT(EPOCH FROM (%(expressions)s)) AS double precision)"
        text, values = self.as_sql(compiler, connection, template=template, arg_joiner=" - ")
        return text, list(values)


class JobQuerySet(models.QuerySet["Job"]):
    """Jobs, cut down to what someone may see or asks for."""

    def visible_to(self, user: User | AnonymousUser) -> "JobQuerySet":
        """Return the jobs that `user` may see: staff all, others their own, strangers none."""
        if policies.sees_all(user):
            return self
        if not user.is_authenticated or not user.is_active:
            return self.none()
        shown = policies.tasks_open_to(user, "see")
        return self.filter(Q(owner=user) | Q(task__in=shown)) if shown else self.filter(owner=user)

    def newest_first(self) -> "JobQuerySet":
        """Return the jobs in the order of the lists."""
        return self.order_by("-created_at", "-id")

    def without_bulk(self) -> "JobQuerySet":
        """Leave out the columns that may be long; lists never show them."""
        return self.defer("args", "kwargs", "result", "traceback", "facts")


class StoredFileQuerySet(models.QuerySet["StoredFile"]):
    """Files, cut down to what someone may see."""

    def visible_to(self, user: User | AnonymousUser) -> "StoredFileQuerySet":
        """Return the files that `user` uploaded, and those of jobs whose results the user may see."""
        if not user.is_authenticated or not user.is_active:
            return self.none()
        if user.is_staff:
            return self
        shown = policies.tasks_open_to(user, "arguments")
        # Each file's own job is looked up: the list of all jobs that one may see would be long.
        seen = apps.get_model("jobroom_jobs", "Job")._default_manager.filter(Q(owner=user) | Q(task__in=shown))
        maker = seen.filter(pk=OuterRef("job_id"))
        # The answer of another job is an answer with all its files.
        answered = seen.filter(state="succeeded", answer_of=OuterRef("job_id")).exclude(answer_of="")
        return self.filter(Q(owner=user) | Exists(maker) | Exists(answered))

    def made_by(self, job: "Job") -> "StoredFileQuerySet":
        """Return the files that the job made, and those of the job whose answer it got, oldest first."""
        makers = [job.pk, *([job.answer_of] if job.answer_of and job.state == "succeeded" else [])]
        return self.filter(job_id__in=makers).order_by("created_at")

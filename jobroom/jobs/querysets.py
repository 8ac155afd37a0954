"""Reusable reads of jobs."""

from typing import TYPE_CHECKING

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Exists, OuterRef, Q

from jobroom.jobs import policies
from jobroom.users import User

if TYPE_CHECKING:
    from jobroom.jobs.models import Job, StoredFile  # noqa: F401 — named in the base classes below


class JobQuerySet(models.QuerySet["Job"]):
    """Jobs, cut down to what somebody may see or asks for."""

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
    """Files, cut down to what somebody may see."""

    def visible_to(self, user: User | AnonymousUser) -> "StoredFileQuerySet":
        """Return the files that `user` uploaded, and those of jobs whose results the user may see."""
        from jobroom.jobs.models import Job  # noqa: PLC0415 — jobs.models imports this module

        if not user.is_authenticated or not user.is_active:
            return self.none()
        if user.is_staff:
            return self
        shown = policies.tasks_open_to(user, "arguments")
        # Each file's own job is looked up: the list of all jobs that one may see would be long.
        seen = Job.objects.filter(Q(owner=user) | Q(task__in=shown))
        maker = seen.filter(pk=OuterRef("job_id"))
        # The answer of another job is an answer with all its files.
        answered = seen.filter(state="succeeded", answer_of=OuterRef("job_id")).exclude(answer_of="")
        return self.filter(Q(owner=user) | Exists(maker) | Exists(answered))

    def made_by(self, job: "Job") -> "StoredFileQuerySet":
        """Return the files that the job made, and those of the job whose answer it got, oldest first."""
        makers = [job.pk, *([job.answer_of] if job.answer_of and job.state == "succeeded" else [])]
        return self.filter(job_id__in=makers).order_by("created_at")

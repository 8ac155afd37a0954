"""Groups the failures of the last day by task, kind of error and sentence, for the overview."""

import dataclasses
from datetime import datetime, timedelta

from django.contrib.auth.models import AnonymousUser
from django.utils import timezone

from jobroom.jobs import failures, policies
from jobroom.jobs.models import Job, State
from jobroom.jobs.querysets import JobQuerySet
from jobroom.users import User

DAY = timedelta(days=1)
# So many of the latest failures are looked at, and so many causes are listed.
LOOKED_AT = 150
MOST = 6


@dataclasses.dataclass
class Cause:
    """Jobs that failed for one reason."""

    task: str
    kind: str  # of the error; empty where it may not be read
    sentence: str
    newest: Job
    count: int = 0
    lately: int = 0  # in the last hour

    @property
    def group(self) -> str:
        """The id of the cause among all failures, where it may be known."""
        return self.newest.fingerprint if self.kind else ""

    @property
    def query(self) -> dict[str, str]:
        """What the list of jobs is asked for to show them."""
        found = {"task": self.task, "state": str(self.newest.state)}
        return {**found, "q": self.kind} if self.kind and self.newest.error else found


def of_last_day(user: User | AnonymousUser) -> tuple[list[Cause], bool]:
    """Return the causes of the latest failures that the user may see, the most frequent first; and whether there were more."""
    now = timezone.now()
    rows = list(_failures(user, now)[: LOOKED_AT + 1])
    found: dict[tuple[str, str, str], Cause] = {}
    for job in rows[:LOOKED_AT]:
        readable = policies.may_see_arguments(user, job)
        kind = (job.error_type if readable else "") or ("" if job.state == State.FAILED else "its worker vanished")
        sentence = job.error.strip().partition("\n")[0][:200] if readable else ""
        # What one may not read distinguishes nothing.
        reason = (job.fingerprint if readable else "") or failures.alike(sentence)
        cause = found.setdefault((job.task, kind, reason), Cause(job.task, kind, sentence, job))
        cause.count += 1
        cause.lately += job.finished_at is not None and now - job.finished_at < timedelta(hours=1)
    causes = sorted(found.values(), key=lambda cause: (-cause.count, -_stamp(cause.newest)))
    return causes[:MOST], len(causes) > MOST or len(rows) > LOOKED_AT


def _failures(user: User | AnonymousUser, now: datetime) -> JobQuerySet:
    rows = Job.objects.visible_to(user).filter(state__in=["failed", "lost"], finished_at__gte=now - DAY)
    columns = ("id", "task", "state", "error", "error_type", "finished_at", "owner_id", "label", "fingerprint")
    return rows.only(*columns).order_by("-finished_at", "-id")


def _stamp(job: Job) -> float:
    return job.finished_at.timestamp() if job.finished_at else 0.0

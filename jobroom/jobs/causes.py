"""Why jobs failed in the last day: failures with the same task, kind of error and sentence are one cause."""

import dataclasses
import re
from datetime import datetime, timedelta

from django.contrib.auth.models import AnonymousUser
from django.utils import timezone

from jobroom.jobs import policies
from jobroom.jobs.models import Job, State
from jobroom.jobs.querysets import JobQuerySet
from jobroom.users import User

DAY = timedelta(days=1)
# So many of the latest failures are looked at, and so many causes are told.
LOOKED_AT = 150
MOST = 6
# What differs between two failures for the same reason: numbers, ids, quoted values.
_VALUES = re.compile(r"'[^']*'|\"[^\"]*\"|“[^”]*”|\b[0-9a-f]{8}-[0-9a-f-]{27}\b|0x[0-9a-f]+|\d+(?:\.\d+)?")


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
        cause = found.setdefault((job.task, kind, alike(sentence)), Cause(job.task, kind, sentence, job))
        cause.count += 1
        cause.lately += job.finished_at is not None and now - job.finished_at < timedelta(hours=1)
    causes = sorted(found.values(), key=lambda cause: (-cause.count, -_stamp(cause.newest)))
    return causes[:MOST], len(causes) > MOST or len(rows) > LOOKED_AT


def _failures(user: User | AnonymousUser, now: datetime) -> JobQuerySet:
    rows = Job.objects.visible_to(user).filter(state__in=["failed", "lost"], finished_at__gte=now - DAY)
    columns = ("id", "task", "state", "error", "error_type", "finished_at", "owner_id", "label")
    return rows.only(*columns).order_by("-finished_at", "-id")


def _stamp(job: Job) -> float:
    return job.finished_at.timestamp() if job.finished_at else 0.0


def alike(sentence: str) -> str:
    """Return a sentence without the values in it, so that two failures for the same reason read the same."""
    return _VALUES.sub("…", sentence)

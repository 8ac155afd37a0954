"""A reason why a job waits, for whom it is written, and how its sentence is put together."""

import dataclasses

from jobroom import absolute_urls
from jobroom.jobs import policies
from jobroom.jobs.models import Job
from jobroom.jobs.queue_position import Waiting
from jobroom.users import User

# Jobs and people that are named.
NAMED = 3


@dataclasses.dataclass(frozen=True)
class Why:
    """What keeps a job from starting."""

    kind: str  # see `jobroom.jobs.why_it_waits`; "line" where it only waits for a process
    text: str  # one sentence
    place: Waiting | None = None
    then: str = ""  # what happens by itself
    besides: str = ""  # what it waits for as well, once that is mended
    remedy: str = ""  # what is done on the page below; empty where nothing is, or for who may not see that page
    path: str = ""

    @property
    def said(self) -> str:
        """The whole of it, for those who read this on no page."""
        return f"{self.text}.{f' {self.besides}.' if self.besides else ''}"

    @property
    def is_bad(self) -> bool:
        """Whether it does not start unless someone does something."""
        return self.kind in {"unserved", "silent", "stuck", "quiet"}

    @property
    def address(self) -> str:
        """The address of that page with its host, for those who read this on no page."""
        return absolute_urls.full(self.path) if self.path else ""


class Reader:
    """Who reads: a person, or None for someone with a shell, who sees everything."""

    def __init__(self, user: User | None, job: Job) -> None:
        self.user = user
        self.is_staff = user is None or policies.sees_all(user)
        self.reads_arguments = user is None or policies.may_see_arguments(user, job)

    def names(self, ids: list[str]) -> list[str]:
        """Return what those of the jobs that the reader may see are called."""
        rows = Job.objects.all() if self.user is None else Job.objects.visible_to(self.user)
        known = dict(rows.filter(pk__in=ids).values_list("pk", "task"))
        if self.is_staff:
            return [f"{known[pk]} ({pk[:8]})" if pk in known else f"job {pk}" for pk in ids]
        return [f"{known[pk]} ({pk[:8]})" for pk in ids if pk in known]

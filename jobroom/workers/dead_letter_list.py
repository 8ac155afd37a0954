"""The filter of the list of dead letters, read from the query string and written back into it."""

from collections.abc import Mapping
from functools import cached_property

from django.contrib.auth.models import AnonymousUser
from django.db.models import Count, Q

from jobroom.jobs import task_titles
from jobroom.jobs.lists import PAGE, Listing, clean
from jobroom.jobs.models import Job
from jobroom.users import User
from jobroom.web import cursors
from jobroom.workers.models import DeadLetter
from jobroom.workers.querysets import DeadLetterQuerySet

# What may be wrong with a message, with a word for people.
KINDS = {
    "unknown": "Unknown task",
    "invalid": "Invalid",
    "undecodable": "Not decodable",
    "unreadable": "Not readable",
    "repeated": "Killed its workers",
    "rejected": "Put back too often",
}


class DeadLetterFilter(Listing):
    """The dead letters that `user` may see and `query` asks for: kind, q (a task or a job's id), before (a dead letter's id).

    A value that makes no sense is ignored, but for the place to begin at: it raises WrongCursor.
    """

    names = ("kind", "q")

    def __init__(self, query: Mapping[str, str], user: User | AnonymousUser) -> None:
        self.user = user
        self.visible = DeadLetter.objects.visible_to(user)
        query = clean(query)
        self.kind = query["kind"] if query.get("kind") in KINDS else ""
        self.q = query.get("q", "").strip()[:255]
        self.after = cursors.number(query, "before")

    @cached_property
    def _searched(self) -> DeadLetterQuerySet:
        return (
            self.visible.filter(
                Q(job_id=self.q) | Q(task__icontains=self.q) | Q(task__in=task_titles.containing(self.q))
            )
            if self.q
            else self.visible
        )

    @cached_property
    def matching(self) -> DeadLetterQuerySet:
        """All dead letters that match, the newest first."""
        return (self._searched.filter(kind=self.kind) if self.kind else self._searched).order_by("-pk")

    @cached_property
    def _rows(self) -> list[DeadLetter]:
        rows = self.matching if self.after is None else self.matching.filter(pk__lt=self.after)
        return list(rows[: PAGE + 1])

    @property
    def rows(self) -> list[DeadLetter]:
        """The dead letters of this page."""
        return self._rows[:PAGE]

    @cached_property
    def jobs(self) -> set[str]:
        """The ids of the jobs of this page's dead letters that the history has."""
        named = [dead_letter.job_id for dead_letter in self.rows if dead_letter.job_id]
        return set(Job.objects.visible_to(self.user).filter(pk__in=named).values_list("pk", flat=True))

    @property
    def next_link(self) -> str:
        """The query string of the next page, empty on the last."""
        return self.link(before=str(self.rows[-1].pk)) if len(self._rows) > PAGE else ""

    @property
    def newest_link(self) -> str:
        """The query string of the first page, empty when this is it."""
        return self.link() if self.after is not None else ""

    @property
    def is_empty_database(self) -> bool:
        """Whether there is no dead letter at all."""
        return not self._rows and not self.is_filtered and self.after is None

    @cached_property
    def total(self) -> int:
        """How many dead letters match."""
        return sum(number for kind, number in self._counts.items() if not self.kind or kind == self.kind)

    @cached_property
    def _counts(self) -> dict[str, int]:
        counted = self._searched.order_by().values_list("kind").annotate(number=Count("pk"))
        return {str(kind): int(number) for kind, number in counted}

    def tabs(self) -> list[tuple[str, int, str, bool]]:
        """Return for all, and for each kind that there is: its name, how many dead letters, its link, whether it is chosen."""
        every = [("All", sum(self._counts.values()), self.link(kind=None), not self.kind)]
        shown = [kind for kind in KINDS if kind in self._counts or kind == self.kind]
        return every + [
            (KINDS[kind], self._counts.get(kind, 0), self.link(kind=kind), kind == self.kind) for kind in shown
        ]

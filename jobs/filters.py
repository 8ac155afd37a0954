"""What a list of jobs shows: read from the address, written back into it."""

import dataclasses
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from urllib.parse import urlencode

from django.contrib.auth.models import AnonymousUser, User
from django.db import connection
from django.db.models import Q, TextField
from django.db.models.functions import Cast

from jobs import policies
from jobs.catalogue import entries
from jobs.models import Job, State
from jobs.policies import may_know_of
from jobs.querysets import JobQuerySet

# Rows of a page.
PAGE = 50
# Nothing is counted beyond this.
MOST_COUNTED = 10_000
# A search by words or for a tag looks at so many of the newest jobs that match the rest.
SEARCHED = 20_000


@dataclasses.dataclass(frozen=True)
class Count:
    """A number of rows that was counted up to a limit."""

    number: int
    more: bool

    def __str__(self) -> str:
        return f"{self.number:,}{'+' if self.more else ''}"


def count(rows: JobQuerySet) -> Count:
    """Count rows, but never more than MOST_COUNTED of them."""
    number = rows.order_by().values("pk")[: MOST_COUNTED + 1].count()
    return Count(min(number, MOST_COUNTED), number > MOST_COUNTED)


def counts(rows: JobQuerySet) -> dict[State, Count]:
    """Count the rows of each state."""
    return {state: count(rows.filter(state=state)) for state in State}


class JobFilter:
    """The jobs that `user` may see and `query` asks for: state, task, queue, schedule, owner, tag, q, before.

    A value that makes no sense is ignored: a shared address must not break when a task is renamed. `owner` is `me` or a
    user name; a name that nobody has finds nothing.
    """

    def __init__(self, query: Mapping[str, str], user: User | AnonymousUser) -> None:
        self.visible = Job.objects.visible_to(user)
        # PostgreSQL refuses this one character.
        query = {key: value.replace("\x00", "")[:400] for key, value in query.items()}
        states = query.get("state", "")
        self.state = State(states) if states in State.values else None
        self.task = query.get("task", "")[:255]
        self.queue = query.get("queue", "")[:255]
        self.schedule = query.get("schedule", "")[:255]
        self.owner = query.get("owner", "").strip()[:150]
        self.tag = query.get("tag", "").strip()[:50]
        self.user = user
        self.q = query.get("q", "").strip()[:255]
        self.before = _cursor(query.get("before", ""))

    @cached_property
    def matching(self) -> JobQuerySet:
        """All jobs that match, without order and end."""
        rows = self.visible
        if self.state:
            rows = rows.filter(state=self.state)
        for column in ("task", "queue", "schedule"):
            value = getattr(self, column)
            if value:
                rows = rows.filter(**{column: value})
        if self.owner:
            rows = rows.filter(owner=self._owner()).exclude(owner=None)  # for the partial index, as above
        if self.tag:
            rows = self._tagged(rows)
        if self.schedule:
            rows = rows.exclude(schedule="")  # says what the partial index says, or no database would use it
        return self._searched(rows) if self.q else rows

    def _owner(self) -> int | None:
        if self.owner == "me":
            return self.user.pk
        return User.objects.filter(username=self.owner).values_list("pk", flat=True).first()

    def _tagged(self, rows: JobQuerySet) -> JobQuerySet:
        newest = _newest(rows)
        if connection.features.supports_json_field_contains:
            return newest.filter(tags__contains=[self.tag])
        return newest.alias(tags_text=Cast("tags", TextField())).filter(tags_text__contains=json.dumps(self.tag))

    def _searched(self, rows: JobQuerySet) -> JobQuerySet:
        exact = rows.filter(pk=self.q)
        if exact.exists():
            return exact  # asked for apart: together with the words no database would use the index of the ids
        found = Q()
        for word in self.q.split():
            found &= Q(task__icontains=word) | (self._readable & (Q(label__icontains=word) | Q(error__icontains=word)))
        return _newest(rows).filter(found)

    @cached_property
    def _readable(self) -> Q:
        """The jobs of which one may read the arguments: only in those a word of them may be looked for."""
        if self.user.is_staff:
            return Q()
        return Q(owner=self.user.pk) | Q(task__in=policies.tasks_open_to(self.user, "arguments"))

    @cached_property
    def _rows(self) -> list[Job]:
        rows = self.matching.without_bulk().select_related("owner").newest_first()
        if self.before:
            at, pk = self.before
            # The first condition is for the index, the second for rows of the same moment.
            rows = rows.filter(created_at__lte=at).filter(Q(created_at__lt=at) | Q(pk__lt=pk))
        return list(rows[: PAGE + 1])

    @property
    def rows(self) -> list[Job]:
        """The jobs of this page."""
        return self._rows[:PAGE]

    @property
    def is_empty_book(self) -> bool:
        """Whether there is no job at all that the user may see."""
        return not self._rows and not self.is_filtered and self.before is None

    @property
    def is_filtered(self) -> bool:
        """Whether the address asks for anything in particular."""
        return bool(self.parts)

    @property
    def parts(self) -> dict[str, str]:
        """What the address asks for, without the place to begin at."""
        names = ("state", "task", "queue", "schedule", "owner", "tag", "q")
        return {name: str(value) for name in names if (value := getattr(self, name))}

    @property
    def chips(self) -> list[tuple[str, str, str]]:
        """Return name, value and the link without it of each part that the page has no field for."""
        return [(n, v, self.link(**{n: None})) for n, v in self.parts.items() if n in {"queue", "schedule", "tag"}]

    @property
    def next_link(self) -> str:
        """The query string of the next page, empty on the last."""
        if len(self._rows) <= PAGE:
            return ""
        last = self._rows[PAGE - 1]
        return self.link(before=f"{last.created_at.isoformat()}~{last.pk}")

    @property
    def newest_link(self) -> str:
        """The query string of the first page, empty when this is it."""
        return self.link() if self.before else ""

    def link(self, **changes: str | None) -> str:
        """Return the query string of this list with changes; None removes a part. Paging starts again."""
        return "?" + urlencode({key: value for key, value in {**self.parts, **changes}.items() if value})

    def tabs(self) -> list[tuple[State | None, Count | None, str, bool]]:
        """Return for each state: the state, how many of all visible jobs are in it, its link, whether it is chosen."""
        numbers = counts(self.visible)
        every = [(None, None, self.link(state=None), self.state is None)]
        return every + [(s, n, self.link(state=s.value), self.state is s) for s, n in numbers.items()]

    def task_choices(self) -> list[str]:
        """Return the names of the tasks that one may ask for."""
        names = {entry.name for entry in entries() if entry.tracked and may_know_of(self.user, entry.name)}
        return sorted(names | ({self.task} if self.task else set()), key=str.lower)


def _newest(rows: JobQuerySet) -> JobQuerySet:
    """Return the newest SEARCHED of the rows (and more when several are of that same moment)."""
    # A moment, and not a list of ids: the search then goes along the index and ends when the page is full.
    last = rows.newest_first().values_list("created_at", flat=True)[SEARCHED - 1 : SEARCHED].first()
    return rows.filter(created_at__gte=last) if last else rows


def _cursor(text: str) -> tuple[datetime, str] | None:
    moment, _, pk = text.partition("~")
    try:
        at = datetime.fromisoformat(moment)
        # In UTC, as a database asks for it: the first and the last days of all have none.
        return (at.astimezone(UTC), pk) if at.tzinfo and pk else None
    except (ValueError, OverflowError):
        return None

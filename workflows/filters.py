"""What a list of workflows shows: read from the address, written back into it."""

from collections.abc import Mapping
from functools import cached_property
from urllib.parse import urlencode

from django.contrib.auth.models import AnonymousUser, User
from django.db.models import Q

from jobs.filters import count, cursor
from jobs.looking import Count
from workflows.models import State, StoredWorkflow
from workflows.querysets import StoredWorkflowQuerySet

# Rows of a page.
PAGE = 50
# Words are looked for in so many of the newest.
SEARCHED = 20_000
NAMES = ("state", "name", "owner", "q")


class WorkflowFilter:
    """The workflows that `user` may see and `query` asks for: state, name, owner, q, before.

    A value that makes no sense is ignored. `owner` is `me` or a user name; a name that nobody has finds nothing.
    """

    def __init__(self, query: Mapping[str, str], user: User | AnonymousUser) -> None:
        self.visible = StoredWorkflow.objects.visible_to(user)
        # PostgreSQL refuses this one character.
        query = {key: value.replace("\x00", "")[:400] for key, value in query.items()}
        state = query.get("state", "").upper()
        self.state = State(state) if state in State.values else None
        self.name = query.get("name", "")[:200]
        self.owner = query.get("owner", "").strip()[:150]
        self.q = query.get("q", "").strip()[:200]
        self.user = user
        self.before = cursor(query.get("before", ""))

    @cached_property
    def matching(self) -> StoredWorkflowQuerySet:
        """All workflows that match, without order and end."""
        rows = self.visible
        if self.state:
            rows = rows.filter(state=self.state)
        if self.name:
            rows = rows.filter(name=self.name)
        if self.owner:
            rows = rows.filter(owner=self._owner()).exclude(owner=None)  # for the partial index
        return self._searched(rows) if self.q else rows

    def _owner(self) -> int | None:
        if self.owner == "me":
            return self.user.pk
        return User.objects.filter(username=self.owner).values_list("pk", flat=True).first()

    def _searched(self, rows: StoredWorkflowQuerySet) -> StoredWorkflowQuerySet:
        exact = rows.filter(pk=self.q)
        if exact.exists():
            return exact
        last = rows.newest_first().values_list("created_at", flat=True)[SEARCHED - 1 : SEARCHED].first()
        found = Q(created_at__gte=last) if last else Q()
        for word in self.q.split():
            found &= Q(name__icontains=word) | Q(note__icontains=word) | Q(error__icontains=word)
        return rows.filter(found)

    @cached_property
    def _rows(self) -> list[StoredWorkflow]:
        rows = self.matching.without_bulk().select_related("owner").newest_first()
        if self.before:
            at, pk = self.before
            # The first condition is for the index, the second for rows of the same moment.
            rows = rows.filter(created_at__lte=at).filter(Q(created_at__lt=at) | Q(pk__lt=pk))
        return list(rows[: PAGE + 1])

    @property
    def rows(self) -> list[StoredWorkflow]:
        """The workflows of this page."""
        return self._rows[:PAGE]

    @property
    def is_filtered(self) -> bool:
        """Whether the address asks for anything in particular."""
        return bool(self.parts)

    @property
    def is_empty_book(self) -> bool:
        """Whether there is no workflow at all that the user may see."""
        return not self._rows and not self.is_filtered and self.before is None

    @property
    def parts(self) -> dict[str, str]:
        """What the address asks for, without the place to begin at."""
        return {name: str(value) for name in NAMES if (value := getattr(self, name))}

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
        """Return for each state: the state, how many of all visible ones are in it, its link, whether it is chosen."""
        every = [(None, None, self.link(state=None), self.state is None)]
        return every + [
            (s, count(self.visible.filter(state=s)), self.link(state=s.value), self.state is s) for s in State
        ]

"""The filter of a list of workflows, read from the query string and written back into it."""

from collections.abc import Mapping
from functools import cached_property

from django.contrib.auth.models import AnonymousUser
from django.db.models import Q

from jobroom.jobs.filters import count, cursor, owner_called
from jobroom.jobs.lists import NewestFirst, clean
from jobroom.jobs.search import Count
from jobroom.users import User
from jobroom.workflows.models import State, StoredWorkflow
from jobroom.workflows.querysets import StoredWorkflowQuerySet

# Words are looked for in so many of the newest.
SEARCHED = 20_000


class WorkflowFilter(NewestFirst[StoredWorkflow]):
    """The workflows that `user` may see and `query` asks for: state, name, owner, q, before.

    A value that makes no sense is ignored, but for the place to begin at: it raises WrongCursor. `owner` is `me` or a user name; a name that no one has finds nothing.
    """

    names = ("state", "name", "owner", "q")

    def __init__(self, query: Mapping[str, str], user: User | AnonymousUser) -> None:
        self.visible = StoredWorkflow.objects.visible_to(user)
        query = clean(query)
        state = query.get("state", "").upper()
        self.state = State(state) if state in State.values else None
        self.name = query.get("name", "")[:200]
        self.owner = query.get("owner", "").strip()[:150]
        self.q = query.get("q", "").strip()[:200]
        self.user = user
        self.before = cursor(query)

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
        return owner_called(self.owner, self.user)

    def _searched(self, rows: StoredWorkflowQuerySet) -> StoredWorkflowQuerySet:
        exact = rows.filter(pk=self.q)
        if exact.exists():
            return exact
        last = rows.newest_first().values_list("created_at", flat=True)[SEARCHED - 1 : SEARCHED].first()
        found = Q(created_at__gte=last) if last else Q()
        for word in self.q.split():
            found &= Q(name__icontains=word) | Q(note__icontains=word) | Q(error__icontains=word)
        return rows.filter(found)

    def ordered(self) -> StoredWorkflowQuerySet:
        """Return all workflows that match, newest first, without their long columns."""
        return self.matching.without_bulk().select_related("owner", "definition__definition").newest_first()

    def tabs(self) -> list[tuple[State | None, Count | None, str, bool]]:
        """Return for each state: the state, how many of it match the rest, its link, whether it is chosen."""
        every = [(None, None, self.link(state=None), self.state is None)]
        rest = self._without_state.matching
        return every + [(s, count(rest.filter(state=s)), self.link(state=s.value), self.state is s) for s in State]

    @property
    def _without_state(self) -> "WorkflowFilter":
        """The same list with every state."""
        return WorkflowFilter({name: value for name, value in self.parts.items() if name != "state"}, self.user)

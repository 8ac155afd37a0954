"""The filter of the list of mails, read from the query string and written back into it."""

from collections.abc import Mapping
from functools import cached_property
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.db.models import Q

from jobroom.jobs.filters import count, cursor
from jobroom.jobs.lists import NewestFirst, clean
from jobroom.jobs.search import Count
from jobroom.notifications.models import Mail, State
from jobroom.notifications.querysets import MailQuerySet
from jobroom.users import User
from jobroom.web.cursors import WrongCursor

# A search by words looks at so many of the newest mails that match the rest.
SEARCHED = 20_000


class MailFilter(NewestFirst[Mail]):
    """The mails that `user` may see and `query` asks for: state, q (recipient, subject, or the id of a mail, of its job or of the failed job), before.

    A value that makes no sense is ignored, but for the place to begin at: it raises WrongCursor.
    """

    names = ("state", "q")

    def __init__(self, query: Mapping[str, str], user: User | AnonymousUser) -> None:
        self.visible = Mail.objects.visible_to(user)
        query = clean(query)
        state = query.get("state", "")
        self.state = State(state) if state in State.values else None
        self.q = query.get("q", "").strip()[:255]
        self.before = cursor(query)
        if self.before and not _uuid(self.before.pk):
            raise WrongCursor("before")

    @cached_property
    def matching(self) -> MailQuerySet:
        """All mails that match, without order and end."""
        rows = self.visible.filter(state=self.state) if self.state else self.visible
        return self._searched(rows) if self.q else rows

    def _searched(self, rows: MailQuerySet) -> MailQuerySet:
        exact = rows.filter(Q(pk=_uuid(self.q)) | Q(job_id=self.q) | Q(failed_job=self.q))
        if exact.exists():
            return exact
        last = rows.newest_first().values_list("created_at", flat=True)[SEARCHED - 1 : SEARCHED].first()
        newest = rows.filter(created_at__gte=last) if last else rows
        for word in self.q.split():
            newest = newest.filter(Q(recipients__icontains=word) | Q(subject__icontains=word))
        return newest

    def ordered(self) -> MailQuerySet:
        """Return all mails that match, newest first, without the mails themselves."""
        return self.matching.without_content().newest_first()

    def tabs(self) -> list[tuple[State | None, Count | None, str, bool]]:
        """Return for each state: the state, how many mails of it match the rest, its link, whether it is chosen."""
        every = [(None, None, self.link(state=None), self.state is None)]
        rest = self._searched(self.visible) if self.q else self.visible
        return every + [(s, count(rest.filter(state=s)), self.link(state=s.value), self.state is s) for s in State]


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None

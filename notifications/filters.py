"""What the list of mails shows: read from the address, written back into it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from urllib.parse import urlencode
from uuid import UUID

from django.contrib.auth.models import AnonymousUser, User
from django.db.models import Q

from notifications.models import Mail, State
from notifications.querysets import MailQuerySet

# Rows of a page.
PAGE = 50
# Nothing is counted beyond this.
MOST_COUNTED = 10_000
# A search by words looks at so many of the newest mails that match the rest.
SEARCHED = 20_000


class MailFilter:
    """The mails that `user` may see and `query` asks for: state, q (recipient, subject, or a mail's or job's id), before.

    A value that makes no sense is ignored: a shared address must not break.
    """

    def __init__(self, query: Mapping[str, str], user: User | AnonymousUser) -> None:
        self.visible = Mail.objects.visible_to(user)
        query = {key: value.replace("\x00", "")[:400] for key, value in query.items()}
        state = query.get("state", "")
        self.state = State(state) if state in State.values else None
        self.q = query.get("q", "").strip()[:255]
        self.before = cursor(query.get("before", ""))

    @cached_property
    def matching(self) -> MailQuerySet:
        """All mails that match, without order and end."""
        rows = self.visible.filter(state=self.state) if self.state else self.visible
        return self._searched(rows) if self.q else rows

    def _searched(self, rows: MailQuerySet) -> MailQuerySet:
        exact = rows.filter(Q(pk=_uuid(self.q)) | Q(job_id=self.q))
        if exact.exists():
            return exact
        last = rows.newest_first().values_list("created_at", flat=True)[SEARCHED - 1 : SEARCHED].first()
        newest = rows.filter(created_at__gte=last) if last else rows
        for word in self.q.split():
            newest = newest.filter(Q(recipients__icontains=word) | Q(subject__icontains=word))
        return newest

    @cached_property
    def _rows(self) -> list[Mail]:
        rows = self.matching.without_content().newest_first()
        if self.before:
            at, pk = self.before
            # The first condition is for the index, the second for rows of the same moment.
            rows = rows.filter(created_at__lte=at).filter(Q(created_at__lt=at) | Q(pk__lt=pk))
        return list(rows[: PAGE + 1])

    @property
    def rows(self) -> list[Mail]:
        """The mails of this page."""
        return self._rows[:PAGE]

    @property
    def parts(self) -> dict[str, str]:
        """What the address asks for, without the place to begin at."""
        return {name: str(value) for name in ("state", "q") if (value := getattr(self, name))}

    @property
    def is_empty_book(self) -> bool:
        """Whether there is no mail at all."""
        return not self._rows and not self.parts and self.before is None

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

    def tabs(self) -> list[tuple[State | None, str, str, bool]]:
        """Return for each state: the state, how many mails are in it, its link, whether it is chosen."""
        every = [(None, "", self.link(state=None), self.state is None)]
        return every + [(s, self._count(s), self.link(state=s.value), self.state is s) for s in State]

    def _count(self, state: State) -> str:
        number = self.visible.filter(state=state).order_by().values("pk")[: MOST_COUNTED + 1].count()
        return f"{min(number, MOST_COUNTED):,}{'+' if number > MOST_COUNTED else ''}"


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def cursor(text: str) -> tuple[datetime, UUID] | None:
    """Return the place that a link to the next page names, None when it names none."""
    moment, _, pk = text.partition("~")
    found = _uuid(pk)
    try:
        at = datetime.fromisoformat(moment)
        # In UTC, as a database asks for it: the first and the last days of all have none.
        return (at.astimezone(UTC), found) if at.tzinfo and found else None
    except (ValueError, OverflowError):
        return None

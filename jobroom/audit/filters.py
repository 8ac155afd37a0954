"""The filter of the audit's page, read from the query string and written back into it."""

from collections.abc import Mapping

from django.contrib.auth.models import AnonymousUser
from django.db.models import Q

from jobroom.audit.models import Act, ActQuerySet
from jobroom.jobs import policies
from jobroom.jobs.filters import cursor
from jobroom.jobs.lists import NewestFirst, clean
from jobroom.users import User
from jobroom.web.cursors import WrongCursor

# A search by words looks at so many of the newest acts that match the rest.
SEARCHED = 20_000


class ActFilter(NewestFirst[Act]):
    """The acts that `user` may see and `query` asks for: kind, who, target, q (words of reason and outcome), before.

    A value that makes no sense is ignored, but for the place to begin at: it raises WrongCursor.
    """

    names = ("kind", "who", "target", "q")
    moment = "at"

    def __init__(self, query: Mapping[str, str], user: User | AnonymousUser) -> None:
        query = clean(query)
        self.visible = Act.objects.all() if policies.sees_all(user) else Act.objects.none()
        self.kind, self.who = query.get("kind", "")[:40], query.get("who", "").strip()[:255]
        self.target, self.q = query.get("target", "").strip()[:255], query.get("q", "").strip()[:255]
        self.before = cursor(query)
        if self.before and not self.before.pk.isdigit():
            raise WrongCursor("before")

    def ordered(self) -> ActQuerySet:
        """Return all acts that match, newest first."""
        rows = self.visible
        for name in ("kind", "who", "target"):
            if value := getattr(self, name):
                rows = rows.filter(**{name: value})
        if self.q:
            newest = list(rows.newest_first().values_list("pk", flat=True)[SEARCHED - 1 : SEARCHED])
            rows = rows.filter(pk__gte=newest[0]) if newest else rows
            for word in self.q.split():
                rows = rows.filter(Q(target__icontains=word) | Q(reason__icontains=word) | Q(outcome__icontains=word))
        return rows.newest_first()

    @property
    def kinds(self) -> list[str]:
        """What acts can be done to."""
        return [
            "job",
            "queue",
            "task",
            "worker",
            "lock",
            "schedule",
            "workflow",
            "mail",
            "cache",
            "task rule",
            "access",
            "failure",
        ]

"""The filter of the list of failures, read from the query string and written back into it."""

import re
from collections.abc import Mapping
from typing import Any

from django.db.models import Exists, OuterRef, Q

from jobroom.jobs import task_titles
from jobroom.jobs.failure_models import FailureCount, FailureGroup, FailureGroupQuerySet, GroupState
from jobroom.jobs.filters import cursor
from jobroom.jobs.lists import NewestFirst, clean
from jobroom.web.cursors import WrongCursor

# What a fingerprint looks like.
_FINGERPRINT = re.compile(r"[0-9a-f]{32}")
ALL = "all"


class FailureFilter(NewestFirst[FailureGroup]):
    """The causes that `user` may see and `query` asks for: state (open by default, or all), task, q, before.

    A value that makes no sense is ignored, but for the place to begin at: it raises WrongCursor.
    """

    names = ("state", "task", "q")
    moment = "last_seen"

    def __init__(self, query: Mapping[str, str], user: Any) -> None:
        query = clean(query)
        self.visible = FailureGroup.objects.visible_to(user)
        state = query.get("state", "")
        self.state = state if state in {*GroupState.values, ALL} else ""
        self.task, self.q = query.get("task", "").strip()[:255], query.get("q", "").strip()[:255]
        self.before = cursor(query)
        if self.before and not _FINGERPRINT.fullmatch(self.before.pk):
            raise WrongCursor("before")

    @property
    def _tasks(self) -> list[str]:
        return [self.task, *task_titles.with_title(self.task)]

    def ordered(self) -> FailureGroupQuerySet:
        """Return all causes that match, the last seen first."""
        rows = self.visible if self.state == ALL else self.visible.filter(state=self.state or GroupState.OPEN)
        if self.task:
            rows = rows.filter(Exists(FailureCount.objects.filter(group_id=OuterRef("pk"), task__in=self._tasks)))
        for word in self.q.split():
            rows = rows.filter(Q(pk=word) | Q(error_type__icontains=word) | Q(sentence__icontains=word))
        return rows.select_related("assigned_to").newest_first()

    def tabs(self) -> list[tuple[str, str, bool]]:
        """Return for each state, and for all: its name, its link, whether it is chosen."""
        chosen = self.state or GroupState.OPEN
        named = [(state.value, str(state.label)) for state in GroupState] + [(ALL, "All")]
        return [(label, self.link(state=value), value == chosen) for value, label in named]

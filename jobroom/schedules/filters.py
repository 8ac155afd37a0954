"""The filter of the list of schedules, read from the query string and written back into it."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db.models import Q, QuerySet
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from jobroom.jobs import task_titles
from jobroom.jobs.lists import PAGE, Listing, clean
from jobroom.jobs.models import Job
from jobroom.jobs.search import union_all
from jobroom.schedules import policies, services
from jobroom.schedules.exceptions import UnusableSchedule
from jobroom.schedules.services import closures, coming_runs, ownership, pauses
from jobroom.schedules.services.coming_runs import Run
from jobroom.schedules.services.ownership import Ownership
from jobroom.users import User

# Outcomes that a row shows, of the latest jobs.
OUTCOMES = 8
STATES = ("on", "paused")
RELATED = ("interval", "crontab", "solar", "clocked", "settings_schedule", "detail", "policy")


@dataclasses.dataclass
class Row:
    """One schedule as pages and the API show it."""

    schedule: PeriodicTask
    owner: User | None
    jobs: list[Job] = dataclasses.field(default_factory=list)  # the latest, the newest first
    known: coming_runs.Read | None = None  # what was read for all rows at once

    @property
    def sentence(self) -> str:
        """When it runs, in words."""
        return services.sentence(self.schedule)

    @cached_property
    def problem(self) -> str:
        """Why it cannot run as it stands; empty if it can."""
        try:
            services.next_runs(self.schedule)
        except UnusableSchedule as error:
            return f"It never runs: {error}."
        closing = closures.of(self.schedule, self.known.texts if self.known is not None else None)
        if closing is not None and closing.missing:
            return f"It does not run: {closing.why(timezone.now())}."
        return services.refusal_of(self.schedule)

    def runs(self, count: int = 1) -> list[datetime]:
        """Return the next runs, that which is left out among them."""
        try:
            return services.next_runs(self.schedule, count)
        except UnusableSchedule:
            return []

    def upcoming(self, count: int) -> list[Run]:
        """Return the next runs with what clocks do to them, that which is left out among them."""
        return coming_runs.upcoming(self.schedule, count)

    def left_out(self, runs: Sequence[datetime]) -> datetime | None:
        """Return which of the next runs is left out: the first from the moment on that was chosen."""
        chosen = self.skipped
        return next((moment for moment in runs if chosen is not None and moment >= chosen), None)

    @cached_property
    def next_run(self) -> datetime | None:
        """The next run that takes place."""
        if closures.named_by(self.schedule):
            return coming_runs.next_open(self.schedule, self.skipped, self.known)
        runs = self.runs(2)
        left_out = self.left_out(runs)
        return next((moment for moment in runs if moment != left_out), None)

    @cached_property
    def ownership(self) -> Ownership:
        """Whether it comes from the settings, and in what it differs from them."""
        return ownership.of(self.schedule)

    @property
    def skips_next(self) -> bool:
        """Whether the very next run is the one that is left out."""
        return self.left_out(self.runs(1)) is not None

    @property
    def skipped(self) -> datetime | None:
        """The moment of the run that is left out, as it was chosen."""
        return pauses.skipped(self.schedule)

    @property
    def pause(self) -> Any:
        """Who paused it, when and why; None where it runs, or no one said."""
        detail = getattr(self.schedule, "detail", None)
        return detail if detail is not None and not self.schedule.enabled and detail.paused_at else None

    @property
    def outcomes(self) -> list[str]:
        """The states of its latest jobs, the oldest first."""
        return [str(job.state) for job in reversed(self.jobs)]


def bare(schedules: Iterable[PeriodicTask]) -> list[Row]:
    """Return the schedules without owners and jobs."""
    rows = list(schedules)
    known = coming_runs.read(rows)
    return [Row(row, None, known=known) for row in rows]


def rows_of(schedules: Sequence[PeriodicTask], user: User | AnonymousUser) -> list[Row]:
    """Return the schedules with their owners and the latest of their jobs that the user may see; two statements, and two more for calendars."""
    owners, known = policies.owners_of(schedules), coming_runs.read(schedules)
    found = {row.name: Row(row, owners.get(policies.owner_id(row) or 0), known=known) for row in schedules}
    visible = Job.objects.visible_to(user)
    columns = ("id", "schedule", "state", "created_at", "finished_at", "started_at", "queued_at", "run_after", "task")
    latest = [
        visible.filter(schedule=name).exclude(schedule="").order_by("-created_at").values_list(*columns)[:OUTCOMES]
        for name in found
    ]
    for job in Job.objects.raw(*union_all(latest)) if latest and user.is_active else ():
        found[job.schedule].jobs.append(job)
    for row in found.values():
        row.jobs.sort(key=lambda job: job.created_at, reverse=True)
    return list(found.values())


class ScheduleFilter(Listing):
    """The schedules that `user` may see and `query` asks for: state (on, paused), task, owner (me), q, after (a name)."""

    names = ("state", "task", "owner", "q")
    before = None

    def __init__(self, query: Mapping[str, str], user: User | AnonymousUser) -> None:
        query = clean(query)
        self.user = user
        self.state = query.get("state", "") if query.get("state") in STATES else ""
        self.task = query.get("task", "")[:255]
        self.owner = query.get("owner", "").strip()[:150]
        self.q = query.get("q", "").strip()[:200]
        self.after = query.get("after", "")

    @property
    def matching(self) -> "QuerySet[PeriodicTask]":
        """All schedules that match, by name."""
        rows = policies.visible_to(self.user)
        if self.state:
            rows = rows.filter(enabled=self.state == "on")
        return self._narrowed(rows).order_by("name")

    def _narrowed(self, rows: "QuerySet[PeriodicTask]") -> "QuerySet[PeriodicTask]":
        if self.task:
            rows = rows.filter(task=self.task)
        if self.owner:
            rows = policies.of_owner(rows, self._owner())
        for word in self.q.split():
            rows = rows.filter(
                Q(name__icontains=word)
                | Q(task__icontains=word)
                | Q(description__icontains=word)
                | Q(task__in=task_titles.containing(word))
            )
        return rows

    def _owner(self) -> int:
        if self.owner == "me":
            return self.user.pk or 0
        named = User._default_manager.filter(**{User.USERNAME_FIELD: self.owner})
        return named.values_list("pk", flat=True).first() or 0

    @cached_property
    def _found(self) -> list[PeriodicTask]:
        rows = self.matching.filter(name__gt=self.after) if self.after else self.matching
        return list(rows.select_related(*RELATED)[: PAGE + 1])

    @cached_property
    def rows(self) -> list[Row]:
        """The schedules of this page."""
        return rows_of(self._found[:PAGE], self.user)

    @property
    def is_empty_database(self) -> bool:
        """Whether there is no schedule at all that one may see."""
        return not self._found and not self.is_filtered and not self.after

    @property
    def newest_link(self) -> str:
        """The query string of the first page, empty when this is it."""
        return self.link() if self.after else ""

    @property
    def next_link(self) -> str:
        """The query string of the next page, empty on the last."""
        return self.link(after=self._found[PAGE - 1].name) if len(self._found) > PAGE else ""

    def tabs(self) -> list[tuple[str, int | None, str, bool]]:
        """Return for all, on and paused: the word, how many match the rest, the link, whether it is chosen."""
        rest = self._narrowed(policies.visible_to(self.user))
        numbers = {"on": rest.filter(enabled=True).count(), "paused": rest.filter(enabled=False).count()}
        every: list[tuple[str, int | None, str, bool]] = [("all", None, self.link(state=None), not self.state)]
        return every + [(name, number, self.link(state=name), self.state == name) for name, number in numbers.items()]

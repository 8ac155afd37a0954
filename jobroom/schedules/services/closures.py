"""When calendars keep a schedule from running, by the clocks of its zone, and when it may run again."""

import dataclasses
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, tzinfo
from typing import Any

from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from jobroom.schedules.exceptions import UnusableSchedule
from jobroom.schedules.models import Calendar, Closed, RunState, ScheduledRun
from jobroom.schedules.services.calendar_index import Days, days_of
from jobroom.schedules.services.next_runs import UNUSABLE, run_after, timing
from jobroom.schedules.services.runs import policy_of, skipped
from jobroom.schedules.services.wallclock import WallClock

# Days ahead in which a time is looked for that is open.
AHEAD = 800
_DAY = timedelta(days=1)
_LEAST = timedelta(microseconds=1)

Named = tuple[str, Days]


@dataclasses.dataclass(frozen=True)
class Closures:
    """The calendars of one schedule, as they are stored now.

    `zone` is that of the schedule; `not_on` and `only_on` are names with what they cover; `missing` are names that there are not.
    """

    zone: tzinfo
    not_on: tuple[Named, ...]
    only_on: tuple[Named, ...]
    missing: tuple[str, ...]
    moves: bool

    def why(self, moment: datetime) -> str:
        """Return which calendar closes the schedule at this moment; empty where it is open."""
        return self._why(self.local(moment))

    def local(self, moment: datetime) -> datetime:
        """Return what the clocks of the schedule show."""
        return moment.astimezone(self.zone).replace(tzinfo=None, fold=0)

    def _why(self, local: datetime) -> str:
        if self.missing:
            return f"there is no calendar “{self.missing[0]}”: make it, or take it out of the policy"
        for name, days in self.not_on:
            found = days.entry(local)
            if found is not None:
                return f"{name} ({found.words})" if found.words else name
        if self.only_on and not any(days.covers(local) for _, days in self.only_on):
            return f"not on {' or '.join(name for name, _ in self.only_on)}"
        return ""

    def opens(self, moment: datetime) -> datetime | None:
        """Return the first moment from this one on that is open; None where none is within two years."""
        local = self.local(moment)
        return moment if self._is_open(local) else self._aware(self._opens(local))

    def moved(self, moment: datetime) -> datetime | None:
        """Return to when a run of this moment is moved, None where there is no such time.

        That is when what closes it ends by the clock; where whole days are closed, the same time of the next day that is open.
        """
        local = self.local(moment)
        clock = local.time()
        for _ in range(AHEAD):
            opens = self._opens(local)
            if opens is None or opens.time() != datetime.min.time():
                return self._aware(opens)
            local = datetime.combine(opens.date(), clock)
            if self._is_open(local):
                return self._aware(local)
        return None

    def _opens(self, local: datetime) -> datetime | None:
        if self.missing:
            return None
        at: datetime | None = local
        while at is not None and at < local + AHEAD * _DAY:
            at = min((edge for _, days in (*self.not_on, *self.only_on) if (edge := days.next_edge(at))), default=None)
            if at is not None and self._is_open(at):
                return at
        return None

    def _is_open(self, local: datetime) -> bool:
        if self.missing or any(days.covers(local) for _, days in self.not_on):
            return False
        return not self.only_on or any(days.covers(local) for _, days in self.only_on)

    def _aware(self, local: datetime | None) -> datetime | None:
        return local.replace(tzinfo=self.zone) if local is not None else None


def named_by(row: PeriodicTask) -> list[str]:
    """Return the names of the calendars that a schedule follows."""
    policy = policy_of(row)
    return [*policy.not_on, *policy.only_on] if policy is not None else []


def texts_of(names: Iterable[str]) -> dict[str, str]:
    """Return the lines of these calendars, those that there are."""
    named = set(names)
    return dict(Calendar.objects.filter(name__in=named).values_list("name", "days")) if named else {}


def of(row: PeriodicTask, texts: Mapping[str, str] | None = None) -> Closures | None:
    """Return the calendars of a schedule; None where it has none, which costs nothing.

    `texts` are the lines of calendars that were read before, by name: who asks for many schedules reads them once.
    """
    policy, names = policy_of(row), named_by(row)
    if policy is None or not names:
        return None
    texts = texts_of(names) if texts is None else texts
    return Closures(
        zone_of(row),
        _named(policy.not_on, texts),
        _named(policy.only_on, texts),
        tuple(name for name in names if name not in texts),
        policy.closed == Closed.MOVE,
    )


def zone_of(row: PeriodicTask) -> tzinfo:
    """Return whose clocks decide what day it is: those of a crontab's zone, and of the site for all others."""
    if row.crontab:
        try:
            zone: tzinfo = timing(row).tz
        except UnusableSchedule:
            return timezone.get_default_timezone()
        return zone
    return timezone.get_default_timezone()


def _named(names: Iterable[str], texts: Mapping[str, str]) -> tuple[Named, ...]:
    return tuple((name, days_of(texts[name])) for name in names if name in texts)


def outcome(row: PeriodicTask, closures: Closures, schedule: Any, due: datetime, why: str) -> ScheduledRun:
    """Return what becomes of a run that is closed: skipped, or kept until it may take place."""
    target = closures.moved(due) if closures.moves else None
    if target is None:
        return skipped(row, due, why)
    if (following := after(row, schedule, due)) is not None and following <= target:
        return skipped(row, due, f"{why}; its next run comes before it could be moved")
    return waiting(row, due, target, why)


def waiting(row: PeriodicTask, due: datetime, until: datetime, why: str) -> ScheduledRun:
    """Return a run that waits until it is open."""
    return ScheduledRun(row=row, due=due, state=RunState.HELD, not_before=until, reason=moved_to(until, why))


def moved_to(until: datetime, why: str) -> str:
    """Return why a run waits, and until when."""
    return f"moved to {until:%Y-%m-%d %H:%M %Z}: {why}"[:300]


def after(row: PeriodicTask, schedule: Any, due: datetime, opens: datetime | None = None) -> datetime | None:
    """Return the run that follows the one of `due`, from `opens` on if that is later; None where there is none."""
    if row.one_off or row.clocked:
        return None
    try:
        if opens is None or opens <= due:
            return run_after(row, schedule, due)
        if row.interval:
            return due + max(-((due - opens) // schedule.run_every), 1) * schedule.run_every  # type: ignore[no-any-return]
        back = opens - _LEAST if not isinstance(schedule, WallClock) else opens - timedelta(seconds=1)
        return run_after(row, schedule, back)
    except UNUSABLE:
        return None

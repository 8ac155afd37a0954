"""The next runs as people see them: in the schedule's zone and in their own, with what clocks do to them."""

import dataclasses
import itertools
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from jobroom.schedules.exceptions import UnusableSchedule
from jobroom.schedules.models import RunState, ScheduledRun
from jobroom.schedules.services import clock_changes, closures
from jobroom.schedules.services.closures import Closures
from jobroom.schedules.services.next_runs import UNUSABLE, next_pairs, start_of, timing
from jobroom.schedules.services.wallclock import WallClock

# Closed times that are looked at on the way to the next run that is open.
LOOKED_AT = 500


@dataclasses.dataclass(frozen=True)
class Run:
    """One run to come."""

    at: datetime  # when it takes place
    due: datetime  # the moment that it is for; by jitter it takes place later
    zone: str = ""  # that of the schedule; empty where it goes by no clock
    local: str = ""  # when it takes place, on the clocks of that zone
    note: str = ""  # what a change of clocks does to it
    closed: str = ""  # why it does not take place then: which calendar closes the schedule
    moved: datetime | None = None  # when it takes place in place of that

    @property
    def is_elsewhere(self) -> bool:
        """Whether the schedule's clocks show another time than those of the person who asks."""
        return bool(self.local) and self.local != f"{timezone.localtime(self.at):%Y-%m-%d %H:%M:%S %Z}"


def upcoming(row: PeriodicTask, count: int) -> list[Run]:
    """Return the next `count` runs, that which is left out among them; none where it cannot run."""
    try:
        return runs_of(row, count)
    except UnusableSchedule:
        return []


def runs_of(row: PeriodicTask, count: int) -> list[Run]:
    """Return what `upcoming` does; raise UnusableSchedule."""
    schedule = timing(row)
    found = [_run(schedule, at, due) for at, due in next_pairs(row, count)]
    closing = closures.of(row)
    return found if closing is None else [_closed(row, closing, schedule, run) for run in found]


def _closed(row: PeriodicTask, closing: Closures, schedule: Any, run: Run) -> Run:
    why = closing.why(run.due)
    if not why:
        return run
    outcome = closures.outcome(row, closing, schedule, run.due, why)
    return dataclasses.replace(run, closed=outcome.reason, moved=outcome.not_before)


@dataclasses.dataclass(frozen=True)
class Read:
    """What was read at once for many schedules: the lines of calendars by name, and moved runs by the schedules' ids."""

    texts: dict[str, str]
    moved: dict[int, list[datetime]]


def read(rows: Iterable[PeriodicTask]) -> Read:
    """Read what `next_open` asks for of these schedules: two statements, none where no calendar is followed."""
    following = {row.pk: names for row in rows if (names := closures.named_by(row))}
    waiting = ScheduledRun.objects.filter(row__in=following, state=RunState.HELD, backfill=None)
    moved: dict[int, list[datetime]] = {}
    for row, moment in waiting.values_list("row", "not_before") if following else ():
        if moment is not None:
            moved.setdefault(row, []).append(moment)
    return Read(closures.texts_of(itertools.chain.from_iterable(following.values())), moved)


def next_open(row: PeriodicTask, skipped: datetime | None = None, known: Read | None = None) -> datetime | None:
    """Return when the schedule runs next, calendars considered; None where it does not, or not within some years.

    The first run from the moment `skipped` on is left out. `known` is what was read for many schedules.
    """
    known = known or read([row])
    closing = closures.of(row, known.texts)
    if closing is None or not row.enabled:
        return next((run.at for run in upcoming(row, 1)), None)
    following = _next_open(row, closing, skipped)
    return min([*known.moved.get(row.pk, []), *([following] if following is not None else [])], default=None)


def _next_open(row: PeriodicTask, closing: Closures, skipped: datetime | None) -> datetime | None:
    try:
        schedule, due = timing(row), next((due for _, due in next_pairs(row, 1)), None)
        for _ in range(LOOKED_AT):
            if due is None or (row.expires is not None and due >= row.expires):
                return None
            if not closing.why(due):
                start = max(start_of(row, schedule, due), timezone.now())
                if skipped is None or start < skipped:
                    return start
                skipped, due = None, closures.after(row, schedule, due)
                continue
            run = _closed(row, closing, schedule, Run(due, due))
            if run.moved is not None:
                return run.moved
            opens = closing.opens(due)
            due = closures.after(row, schedule, due, opens) if opens is not None else None
    except (UnusableSchedule, *UNUSABLE):
        pass
    return None


def at_clock_changes(row: PeriodicTask, shown: list[Run]) -> list[Run]:
    """Return the next runs that a change of clocks concerns, of the next year, without those that are shown."""
    try:
        schedule = timing(row)
        known = {run.due for run in shown}
        found = [due for due in clock_changes.ahead(schedule, timezone.now()) if due not in known]
        found = [due for due in found if row.expires is None or due < row.expires]
        return [_run(schedule, start_of(row, schedule, due), due) for due in found] if row.enabled else []
    except (UnusableSchedule, *UNUSABLE):
        return []


def _run(schedule: object, at: datetime, due: datetime) -> Run:
    if not isinstance(schedule, WallClock):
        return Run(at, due)
    local = f"{at.astimezone(schedule.tz):%Y-%m-%d %H:%M:%S %Z}"
    return Run(at, due, str(schedule.tz), local, clock_changes.note(schedule, due))

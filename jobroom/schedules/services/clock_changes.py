"""What people read about a run that falls into an hour which clocks skip or repeat."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Any

from jobroom.schedules.services.wallclock import WallClock, is_repeated, is_skipped

_DAY = timedelta(days=1)
# Clocks change twice a year, in some zones four times: so far is looked ahead, and so many runs are shown.
AHEAD, MOST = 370, 6


def note(schedule: Any, due: datetime) -> str:
    """Return what clocks do to the run that is due then; empty where they run evenly, and for all but crontabs."""
    if not isinstance(schedule, WallClock):
        return ""
    local = due.astimezone(schedule.tz)
    if is_repeated(local):
        return _of_double(schedule, local)
    skipped = [] if schedule.is_frequent and schedule.names(local) else list(_skipped(schedule, local))
    if not skipped:
        return ""
    first = min(skipped)
    more = " and the run of that time is the same" if schedule.names(local) else ""
    return f"{_clock(first)} does not exist on {_day(first)}: runs at {_clock(local)} {local:%Z}{more}"


def ahead(schedule: Any, now: datetime) -> list[datetime]:
    """Return the next moments for which there is a note."""
    if not isinstance(schedule, WallClock):
        return []
    found: list[datetime] = []
    today = now.astimezone(schedule.tz).date()
    for number in range(AHEAD):
        day = today + number * _DAY
        if not schedule.is_plain(day):
            noted = (due for due in _of_day(schedule, day) if due > now and note(schedule, due))
            found += islice(noted, MOST)
        if len(found) >= MOST:
            break
    return found[:MOST]


def _of_day(schedule: WallClock, day: date) -> Iterator[datetime]:
    moment = datetime(day.year, day.month, day.day, tzinfo=schedule.tz) - timedelta(seconds=1)
    end = moment.astimezone(UTC) + timedelta(hours=26)
    for _ in range(26 * 60):
        try:
            moment = schedule.next_after(moment)
        except RuntimeError:
            return
        if moment.astimezone(UTC) > end:
            return
        yield moment


def _of_double(schedule: WallClock, local: datetime) -> str:
    times = f"{_clock(local)} comes twice on {_day(local)}"
    if not schedule.is_frequent:
        return f"{times}: runs the first time, in {local:%Z}"
    return f"{times}: this is the {'second' if local.fold else 'first'}, in {local:%Z}"


def _skipped(schedule: WallClock, local: datetime) -> Iterator[datetime]:
    """Yield the times of the crontab that clocks never show and that are served at this moment."""
    for day in (local.date() - _DAY, local.date()):
        if schedule.is_plain(day):
            continue
        for wall in schedule.walls(day):
            if is_skipped(wall) and wall.astimezone(UTC) == local.astimezone(UTC):
                yield wall


def _clock(moment: datetime) -> str:
    return f"{moment:%H:%M}"


def _day(moment: datetime) -> str:
    return f"{moment.day} {moment:%B}"

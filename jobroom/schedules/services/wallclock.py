"""Crontabs and daylight saving: what becomes of an hour that a time zone skips or repeats.

A moment that names itself (`30 2 * * *`) comes once a day: where the hour is repeated, in its first pass; where it is
skipped, as long after the last hour as it would have been (RFC 5545, 3.3.5). A crontab that says how *often* (`*/15`,
every hour, `0 */2`) goes by elapsed time, so the repeated hour is served in both of its passes.
"""

import functools
from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo
from itertools import product
from typing import Any

from django_celery_beat.tzcrontab import TzAwareCrontab

# The 29th of February on a given weekday comes every 28 years, around a century without a leap day every 40.
_LONGEST_SEARCH = 366 * 41
_DAY = timedelta(days=1)
# Answers that a crontab remembers: the run that is due, the next one, and one for those that look further.
_KNOWN = 3
_Clock = tuple[int, int]


class WallClock(TzAwareCrontab):  # type: ignore[misc]
    """A crontab in its own time zone that is right on the days when clocks go forward or back."""

    def __init__(self, minute: Any = "*", hour: Any = "*", *args: Any, tz: tzinfo, **kwargs: Any) -> None:
        super().__init__(minute, hour, *args, tz=tz, **kwargs)
        self._clock: list[_Clock] = sorted(product(self.hour, self.minute))
        self._times = frozenset(self._clock)
        fields = (str(minute), str(hour))
        #: whether it says how often it runs, and not at which times of the day
        self.is_frequent = len(self.hour) == 24 or any("*" in field or "/" in field for field in fields)
        # The latest answers, each with the earliest moment that it is right for: many schedules share a crontab, and each asks
        # more than once. In UTC; one tuple, because threads share it as well.
        self._known: tuple[tuple[datetime, datetime], ...] = ()

    def next_after(self, moment: datetime) -> datetime:
        """Return the first run after `moment`, in the crontab's zone; raise RuntimeError where its date never comes."""
        moment = moment.astimezone(UTC)
        known = self._known
        for since, following in known:
            if since <= moment < following:
                return following.astimezone(self.tz)
        following = self._search(moment)
        # It comes after each moment since the one that was asked for first.
        others = [pair for pair in known if pair[1] != following]
        self._known = ((moment, following), *others[: _KNOWN - 1])
        return following.astimezone(self.tz)

    def _search(self, moment: datetime) -> datetime:
        # Clocks that skip a whole day have put a run of yesterday into today.
        day = moment.astimezone(self.tz).date() - _DAY
        for _ in range(_LONGEST_SEARCH):
            # On the next day's account too, because a run that was skipped comes later than its day says.
            found = min((*self._first_on(day, moment), *self._first_on(day + _DAY, moment)), default=None)
            if found is not None:
                return found
            day += _DAY
        raise RuntimeError("its date never comes")

    def remaining_estimate(self, last_run_at: datetime, ffwd: Any = None) -> timedelta:
        """Return the time until the run that follows `last_run_at`; negative when it is overdue."""
        now: datetime = self.maybe_make_aware(self.now())
        # In UTC: two times of the same zone are subtracted as they stand on its clocks, which jump.
        return self.next_after(self.maybe_make_aware(last_run_at)).astimezone(UTC) - now.astimezone(UTC)

    def is_plain(self, day: date) -> bool:
        """Return whether the zone's clocks run evenly from the day's begin to the next one's."""
        begin = datetime(day.year, day.month, day.day, tzinfo=self.tz)
        return len({each.replace(fold=fold).utcoffset() for each in (begin, begin + _DAY) for fold in (0, 1)}) == 1

    def names(self, local: datetime) -> bool:
        """Return whether it names this time on its clocks."""
        return (local.hour, local.minute) in self._times and self._is_on(local.date())

    def walls(self, day: date) -> Iterator[datetime]:
        """Yield the times of the day that it names, as clocks would show them; nothing on other days."""
        if (
            day.month in self.month_of_year
            and day.day in self.day_of_month
            and day.isoweekday() % 7 in self.day_of_week
        ):
            yield from (_wall(self.tz, day, clock) for clock in self._clock)

    def _first_on(self, day: date, moment: datetime) -> Iterator[datetime]:
        """Yield the day's first run after `moment`, in UTC, if there is one."""
        if not self._is_on(day):
            return
        if self.is_plain(day):
            yield from self._first_of_plain(day, moment)
            return
        runs = _moments(self.tz, day, frozenset(self.hour), frozenset(self.minute), both=self.is_frequent)
        yield from runs[bisect_right(runs, moment) :][:1]

    def _is_on(self, day: date) -> bool:
        on = day.month in self.month_of_year and day.day in self.day_of_month
        return on and day.isoweekday() % 7 in self.day_of_week

    def _first_of_plain(self, day: date, moment: datetime) -> Iterator[datetime]:
        local = moment.astimezone(self.tz)
        if local.date() > day:
            return
        at = bisect_right(self._clock, (local.hour, local.minute)) if local.date() == day else 0
        if at < len(self._clock):
            yield _wall(self.tz, day, self._clock[at]).astimezone(UTC)


@functools.lru_cache(maxsize=256)
def _moments(tz: tzinfo, day: date, hours: frozenset[int], minutes: frozenset[int], *, both: bool) -> list[datetime]:
    """Return the moments of a day on which clocks jump, in UTC; times that come twice count twice for `both`."""
    found = set()
    for clock in product(hours, minutes):
        wall = _wall(tz, day, clock)
        found.add(wall.astimezone(UTC))
        if both and is_repeated(wall):
            found.add(wall.replace(fold=1).astimezone(UTC))
    return sorted(found)


def _wall(tz: tzinfo, day: date, clock: _Clock) -> datetime:
    return datetime(day.year, day.month, day.day, *clock, tzinfo=tz)


def is_repeated(wall: datetime) -> bool:
    """Return whether clocks show this time twice, because they go back."""
    first, second = (wall.replace(fold=fold).utcoffset() or timedelta() for fold in (0, 1))
    return first > second


def is_skipped(wall: datetime) -> bool:
    """Return whether clocks never show this time, because they go forward."""
    first, second = (wall.replace(fold=fold).utcoffset() or timedelta() for fold in (0, 1))
    return first < second

"""What one line of a calendar covers: days or times, a day of each year, days of the week.

Times are those that clocks show: without a zone.
"""

import dataclasses
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta

WEEK = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_DAY = timedelta(days=1)


@dataclasses.dataclass(frozen=True)
class Span:
    """All times from one moment to before another; `line` is how it is written."""

    line: str
    words: str
    begin: datetime
    end: datetime

    def covers(self, local: datetime) -> bool:
        """Return whether it covers this time, as clocks show it."""
        return self.begin <= local < self.end


@dataclasses.dataclass(frozen=True)
class Yearly:
    """A day of each year."""

    line: str
    words: str
    month: int
    day: int

    def covers(self, local: datetime) -> bool:
        """Return whether it covers this time, as clocks show it."""
        return (local.month, local.day) == (self.month, self.day)


@dataclasses.dataclass(frozen=True)
class Weekly:
    """Days of the week, or hours of them; `begin` and `end` are times since midnight."""

    line: str
    words: str
    days: frozenset[int]
    begin: timedelta
    end: timedelta

    def covers(self, local: datetime) -> bool:
        """Return whether it covers this time, as clocks show it."""
        passed = local - datetime.combine(local.date(), time())
        return local.weekday() in self.days and self.begin <= passed < self.end

    def edges(self, day: date) -> Iterator[datetime]:
        """Yield the times of the day at which it begins or ends."""
        midnight = datetime.combine(day, time())
        if day.weekday() in self.days:
            yield midnight + self.begin
            if self.end < _DAY:
                yield midnight + self.end
        if (day - _DAY).weekday() in self.days and self.end == _DAY:
            yield midnight


Entry = Span | Yearly | Weekly

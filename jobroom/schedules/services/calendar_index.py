"""The entries of a calendar, so that a time is looked up without a look at all of them."""

import functools
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from jobroom.arguments import WrongArguments
from jobroom.schedules.services.calendar_days import parse
from jobroom.schedules.services.calendar_entries import Entry, Span, Weekly, Yearly

_DAY = timedelta(days=1)


class Days:
    """What a calendar covers, by the clocks that show it."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.entries = tuple(entries)
        self._repeated = [entry for entry in self.entries if not isinstance(entry, Span)]
        # Spans that touch are one: begins and ends by turns, in order.
        self._edges: list[datetime] = []
        for span in sorted((each for each in self.entries if isinstance(each, Span)), key=lambda each: each.begin):
            if self._edges and span.begin <= self._edges[-1]:
                self._edges[-1] = max(self._edges[-1], span.end)
            else:
                self._edges += [span.begin, span.end]

    def covers(self, local: datetime) -> bool:
        """Return whether it covers this time."""
        return bisect_right(self._edges, local) % 2 == 1 or any(entry.covers(local) for entry in self._repeated)

    def entry(self, local: datetime) -> Entry | None:
        """Return the first entry that covers this time, None where it does not."""
        return next((entry for entry in self.entries if entry.covers(local)), None) if self.covers(local) else None

    def next_edge(self, local: datetime) -> datetime | None:
        """Return the next time after this one at which something of it begins or ends; None where nothing does."""
        number = bisect_right(self._edges, local)
        found = [self._edges[number]] if number < len(self._edges) else []
        for entry in self._repeated:
            found += [edge for edge in _near(entry, local) if edge > local][:1]
        return min(found, default=None)


def _near(entry: Entry, local: datetime) -> Iterator[datetime]:
    """Yield edges of an entry that repeats, in order, until after the next one."""
    if isinstance(entry, Weekly):
        for number in range(9):
            yield from entry.edges(local.date() + number * _DAY)
    elif isinstance(entry, Yearly):
        for year in range(local.year, local.year + 9):  # the 29th of February may be eight years away
            try:
                begin = datetime(year, entry.month, entry.day)  # noqa: DTZ001 — what clocks show
            except ValueError:
                continue
            yield from (begin, begin + _DAY)


@functools.lru_cache(maxsize=256)
def days_of(text: str) -> Days:
    """Return what the lines of a calendar cover; nothing where they were written past our forms and say nothing."""
    try:
        return Days(parse(text))
    except WrongArguments:
        return Days(())

"""The lines of a calendar, and how they are kept.

One a line, each with a word about it if you like:

    2026-12-25 Christmas
    2026-12-24 to 2027-01-01 Company holidays
    2026-12-18 16:00 to 2027-01-04 08:00 Freeze
    every 12-25 Christmas
    every Sat, Sun
    every Fri 16:00-24:00 No deploys
    # a remark

Times are those that the clocks of a schedule's zone show; a calendar has no zone of its own.
"""

import functools
import re
from collections.abc import Iterable
from datetime import date, datetime, timedelta

from jobroom.arguments import WrongArguments
from jobroom.control_characters import escaped
from jobroom.schedules.services.calendar_entries import WEEK, Entry, Span, Weekly, Yearly

# Lines that a calendar holds at most, and characters of the words behind one.
MOST, WORDS = 2000, 100
REMEDY = (
    "Write a day such as 2026-12-25, days or times such as 2026-12-24 to 2027-01-01 or 2026-12-18 16:00 to 2027-01-04 08:00, a day of "
    "each year such as every 12-25, or days of the week such as every Sat, Sun or every Fri 16:00-24:00; words may follow."
)
_DAY = timedelta(days=1)

_MOMENT = r"(\d{4})-(\d\d?)-(\d\d?)(?:[ T](\d\d?):(\d\d))?"
_SPAN = re.compile(rf"{_MOMENT}(?:\s*(?:to|until|\u2013|\.\.|/)\s*{_MOMENT})?(?:[\s,;]+(.*))?", re.IGNORECASE)
_GERMAN = re.compile(r"\b(\d\d?)\.(\d\d?)\.(\d{4})\b")
_YEARLY = re.compile(r"every\s+(\d\d?)-(\d\d?)(?:[\s,;]+(.*))?", re.IGNORECASE)
_NAME = "(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?s?"
_WEEKLY = re.compile(
    rf"every\s+({_NAME}(?:\s*(?:,|and)\s*{_NAME})*)(?:\s+(\d\d?):(\d\d)\s*[-\u2013]\s*(\d\d?):(\d\d))?(?:[\s,;]+(.*))?",
    re.IGNORECASE,
)


@functools.lru_cache(maxsize=256)
def parse(text: str) -> tuple[Entry, ...]:
    """Return what the lines say; raise WrongArguments for the field `days`, with the first lines that say nothing."""
    found: list[Entry] = []
    wrong: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        plain = _plain(line)
        try:
            found += [_entry(plain)] if plain and not plain.startswith("#") else []
        except ValueError as error:
            wrong.append(f"Line {number}, “{plain[:60]}”{f': {error}' if str(error) else ' is not understood'}.")
    if len(found) > MOST:
        wrong.append(
            f"There are {len(found)} lines, and {MOST} are the most: leave out what has passed, or make two calendars."
        )
    if wrong:
        more = f" {len(wrong) - 5} more lines are wrong." if len(wrong) > 5 else ""
        raise WrongArguments({"days": [" ".join(wrong[:5]) + more + " " + REMEDY]})
    return tuple(found)


def canonical(text: str) -> str:
    """Return the lines as they are kept, those that begin with # too; raise WrongArguments as `parse` does."""
    parse(text)
    lines = [plain for line in text.splitlines() if (plain := _plain(line))]
    return "\n".join(line if line.startswith("#") else _entry(line).line for line in lines)


def merged(text: str, more: Iterable[str]) -> str:
    """Return the lines with those that are not among them yet."""
    known = set(canonical(text).splitlines())
    added = [line for line in dict.fromkeys(canonical("\n".join(more)).splitlines()) if line not in known]
    return "\n".join([*canonical(text).splitlines(), *added])


def _plain(line: str) -> str:
    return escaped(" ".join(line.split()))


def _entry(line: str) -> Entry:
    line = _GERMAN.sub(lambda found: f"{found[3]}-{found[2]:0>2}-{found[1]:0>2}", line)
    if found := _YEARLY.fullmatch(line):
        return _yearly(*found.groups())
    if found := _WEEKLY.fullmatch(line):
        return _weekly(*found.groups())
    if found := _SPAN.fullmatch(line):
        return _span(found.groups())
    raise ValueError


def _words(text: str | None) -> str:
    words = (text or "").strip(" ,;:-\u2013")
    if len(words) > WORDS:
        raise ValueError(f"write at most {WORDS} characters behind the day")
    return words


def _yearly(month: str, day: str, text: str | None) -> Yearly:
    checked = date(2024, int(month), int(day))  # a leap year: the 29th of February is a day too
    words = _words(text)
    return Yearly(f"every {checked:%m-%d} {words}".strip(), words, checked.month, checked.day)


def _weekly(names: str, *rest: str | None) -> Weekly:
    *clock, text = rest
    given = sorted({WEEK.index(name[:3].title()) for name in re.findall(_NAME, names, re.IGNORECASE)})
    begin, end, shown = timedelta(), _DAY, ""
    if clock[0] is not None:
        first, last, until, minutes = (int(part or 0) for part in clock)
        begin, end = timedelta(hours=first, minutes=last), timedelta(hours=until, minutes=minutes)
        if last > 59 or minutes > 59 or not begin < end <= _DAY:
            raise ValueError(
                "its hours must end after they begin, at 24:00 at the latest; write two lines for hours over midnight"
            )
        shown = f" {first:02}:{last:02}-{until:02}:{minutes:02}"
    words = _words(text)
    line = f"every {', '.join(WEEK[day] for day in given)}{shown} {words}".strip()
    return Weekly(line, words, frozenset(given), begin, end)


def _span(groups: tuple[str | None, ...]) -> Span:
    *numbers, text = groups
    words = _words(text)
    begin, first = _moment(numbers[:5])
    end, last = _moment(numbers[5:]) if numbers[5] is not None else (begin, first)
    if numbers[8] is None:
        if numbers[5] is None and numbers[3] is not None:
            raise ValueError("a time needs an end: write 2026-12-18 16:00 to 2026-12-18 18:00")
        end += _DAY  # the last day belongs to it
    if end <= begin:
        raise ValueError("its end comes before its beginning")
    until = f" to {last}" if numbers[5] is not None and last != first else ""
    return Span(f"{first}{until} {words}".strip(), words, begin, end)


def _moment(parts: Iterable[str | None]) -> tuple[datetime, str]:
    year, month, day, hour, minute = parts
    found = datetime(int(year or 0), int(month or 0), int(day or 0), int(hour or 0), int(minute or 0))  # noqa: DTZ001 — no zone: see above
    if not 1970 <= found.year <= 2200:
        raise ValueError("give a year from 1970 to 2200")
    return found, f"{found:%Y-%m-%d}" if hour is None else f"{found:%Y-%m-%d %H:%M}"

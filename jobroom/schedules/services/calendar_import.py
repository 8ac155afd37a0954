"""Lines of a calendar from an iCalendar file (RFC 5545), as Google, Outlook or a public holiday site write it."""

import importlib
import importlib.util
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from itertools import islice
from typing import Any

from dateutil.rrule import rruleset, rrulestr
from django.utils import timezone

from jobroom.arguments import WrongArguments
from jobroom.control_characters import escaped
from jobroom.schedules.services.calendar_days import MOST, WORDS
from jobroom.schedules.services.calendar_entries import Span

# Bytes of a file, and how far back and ahead events that repeat are written out.
MOST_BYTES = 2 << 20
BACK, AHEAD = timedelta(days=31), timedelta(days=5 * 366)
MISSING = "Reading an .ics file needs the Python package icalendar: install django-jobroom[calendars], or write the days one a line."
_DAY = timedelta(days=1)


def is_installed() -> bool:
    """Return whether .ics files can be read here."""
    return importlib.util.find_spec("icalendar") is not None


def lines_of(text: str) -> list[str]:
    """Return the events of a file as lines of a calendar; raise WrongArguments for the field `file`.

    Times that name a zone are written by the clocks of the site.
    """
    if len(text) > MOST_BYTES:
        raise _wrong("The file is larger than 2 MB: leave out what has passed.")
    spans = sorted({(span.begin, span.line) for span in _spans(_parsed(text))})
    if not spans:
        raise _wrong("No event of the file lies in the last month or the next five years.")
    if len(spans) > MOST:
        raise _wrong(f"The file has {len(spans)} events, and {MOST} are the most: make two calendars of it.")
    return [line for _, line in spans]


def _parsed(text: str) -> Any:
    if not is_installed():
        raise _wrong(MISSING)
    try:
        return importlib.import_module("icalendar").Calendar.from_ical(text)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise _wrong(f"This is no iCalendar file ({escaped(str(error))[:200]}): export it as .ics again.") from error


def _wrong(text: str) -> WrongArguments:
    return WrongArguments({"file": [text]})


def _spans(calendar: Any) -> Iterator[Span]:
    events = calendar.walk("VEVENT")
    if len(events) > 2 * MOST:
        raise _wrong(f"The file has {len(events)} events, and {2 * MOST} are read at most: leave out what has passed.")
    moved = {
        (str(event.get("UID")), _plain(event.decoded("RECURRENCE-ID"))) for event in events if "RECURRENCE-ID" in event
    }
    for event in events:
        if "DTSTART" not in event or str(event.get("STATUS", "")) == "CANCELLED":
            continue
        try:
            yield from _of_event(event, moved)
        except (ValueError, TypeError, OverflowError, AttributeError) as error:
            name = escaped(str(event.get("SUMMARY", "")))[:60]
            raise _wrong(
                f"The event “{name}” cannot be read ({escaped(str(error))[:200]}): mend it, or leave it out."
            ) from error


def _of_event(event: Any, moved: set[tuple[str, datetime]]) -> Iterator[Span]:
    start = event.decoded("DTSTART")
    whole = not isinstance(start, datetime)
    begin = _plain(start)
    length = _length(event, begin, whole=whole)
    words = escaped(" ".join(str(event.get("SUMMARY", "")).split()))[:WORDS]
    today = datetime.combine(timezone.localdate(), time())
    for each in islice(_begins(event, begin, today, moved), MOST + 1):
        if each + length > today - BACK and each < today + AHEAD:
            yield _span(each, each + length, words, whole=whole)


def _begins(event: Any, begin: datetime, today: datetime, moved: set[tuple[str, datetime]]) -> Iterator[datetime]:
    if "RRULE" not in event and "RDATE" not in event:
        yield begin
        return
    rules = rruleset()
    for rule in _listed(event.get("RRULE")):
        _check_rule(rule)
        until = _until(rule)
        rule.pop("UNTIL", None)
        if until is not None:
            rule["UNTIL"] = [until]
        rules.rrule(rrulestr(rule.to_ical().decode(), dtstart=begin))
    if "RRULE" not in event:
        rules.rdate(begin)
    for moment in _dates(event.get("RDATE")):
        rules.rdate(moment)
    for moment in _dates(event.get("EXDATE")):
        rules.exdate(moment)
    own = str(event.get("UID"))
    yield from (each for each in rules.between(today - BACK, today + AHEAD, inc=True) if (own, each) not in moved)


def _check_rule(rule: Any) -> None:
    often = {str(each).upper() for each in _listed(rule.get("FREQ"))} - {"DAILY", "WEEKLY", "MONTHLY", "YEARLY"}
    if often or {"BYHOUR", "BYMINUTE", "BYSECOND"} & {str(name).upper() for name in rule}:
        raise ValueError("it repeats more often than once a day")


def _until(rule: Any) -> datetime | None:
    given = rule.get("UNTIL")
    return _plain(given[0] if isinstance(given, list) else given) if given else None


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _dates(value: Any) -> Iterator[datetime]:
    for group in _listed(value):
        yield from (_plain(each.dt) for each in group.dts if not isinstance(each.dt, tuple))


def _length(event: Any, begin: datetime, *, whole: bool) -> timedelta:
    if "DTEND" in event:
        length = _plain(event.decoded("DTEND")) - begin
    elif "DURATION" in event:
        length = event.decoded("DURATION")
    else:
        length = _DAY if whole else timedelta()
    return max(length, _DAY) if whole else max(length, timedelta(minutes=1))


def _plain(moment: date) -> datetime:
    """Return a date or a time as the clocks of the site show it."""
    if not isinstance(moment, datetime):
        return datetime.combine(moment, time())
    if moment.tzinfo is None:
        return moment
    return moment.astimezone(timezone.get_default_timezone()).replace(tzinfo=None)


def _span(begin: datetime, end: datetime, words: str, *, whole: bool) -> Span:
    if whole:
        first, last = f"{begin:%Y-%m-%d}", f"{end - _DAY:%Y-%m-%d}"
    else:
        begin, end = begin.replace(second=0), end.replace(second=0)
        end += timedelta(minutes=1) if end <= begin else timedelta()
        first, last = f"{begin:%Y-%m-%d %H:%M}", f"{end:%Y-%m-%d %H:%M}"
    until = f" to {last}" if not whole or last != first else ""
    return Span(f"{first}{until} {words}".strip(), words, begin, end)

"""The lines of calendars, and .ics files."""

import datetime

import pytest

from jobroom.arguments import WrongArguments
from jobroom.schedules.services import calendar_import
from jobroom.schedules.services.calendar_days import MOST, canonical, merged, parse

ICS = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//example//
BEGIN:VEVENT
UID:1
DTSTART;VALUE=DATE:{year}1225
DTEND;VALUE=DATE:{year}1227
SUMMARY:Christmas\\, both
  days
END:VEVENT
BEGIN:VEVENT
UID:2
DTSTART;TZID=Europe/Berlin:{year}1201T180000
DTEND;TZID=Europe/Berlin:{year}1202T080000
RRULE:FREQ=WEEKLY;COUNT=3
EXDATE;TZID=Europe/Berlin:{year}1208T180000
SUMMARY:Freeze
END:VEVENT
BEGIN:VEVENT
UID:3
STATUS:CANCELLED
DTSTART;VALUE=DATE:{year}1224
END:VEVENT
END:VCALENDAR
"""


def _at(text):
    return datetime.datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("2026-12-25", "2026-12-25"),
        ("  2026-12-25 ,  Christmas  Day ", "2026-12-25 Christmas Day"),
        ("25.12.2026 - Christmas", "2026-12-25 Christmas"),
        ("2026-1-2", "2026-01-02"),
        ("2026-12-24 to 2027-01-01 Company", "2026-12-24 to 2027-01-01 Company"),
        ("2026-12-24..2027-01-01", "2026-12-24 to 2027-01-01"),
        ("2026-12-24 to 2026-12-24", "2026-12-24"),
        ("2026-12-18 16:00 until 2027-01-04 08:00 Freeze", "2026-12-18 16:00 to 2027-01-04 08:00 Freeze"),
        ("EVERY 12-25 Christmas", "every 12-25 Christmas"),
        ("every sunday and Saturdays", "every Sat, Sun"),
        ("every fri 16:00-24:00 No deploys", "every Fri 16:00-24:00 No deploys"),
        ("# a remark", "# a remark"),
    ],
)
def test_a_line_is_kept_in_one_form(line, kept):
    assert canonical(f"\n{line}\n\n") == kept
    assert canonical(kept) == kept


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("Christmas", "is not understood"),
        ("2026-02-30", "day is out of range"),
        ("2026-12-25 10:00", "a time needs an end"),
        ("2027-01-01 to 2026-12-24", "its end comes before its begin"),
        ("2026-01-01 10:00 to 2026-01-01 10:00", "its end comes before its begin"),
        ("every 13-01", "month must be in 1..12"),
        ("every Fri 16:00-08:00", "two lines for hours over midnight"),
        ("1900-01-01", "from 1970 to 2200"),
        ("2026-12-25 " + "x" * 101, "at most 100 characters"),
    ],
)
def test_what_a_line_does_not_say_is_named_with_its_number_and_the_remedy(line, words):
    with pytest.raises(WrongArguments) as wrong:
        parse(f"2026-01-01\n{line}")
    [text] = wrong.value.errors["days"]
    assert words in text
    assert text.startswith("Line 2")
    assert "Write a day such as 2026-12-25" in text


def test_a_calendar_has_a_largest_size():
    with pytest.raises(WrongArguments, match=f"{MOST} are the most"):
        parse("2026-01-01\n" * (MOST + 1))


def test_what_lines_cover():
    def covers(line, moment):
        [entry] = parse(line)
        return entry.covers(_at(moment))

    assert covers("2026-12-25", "2026-12-25T00:00")
    assert covers("2026-12-25", "2026-12-25T23:59:59")
    assert not covers("2026-12-25", "2026-12-26T00:00")
    assert covers("2026-12-24 to 2026-12-26", "2026-12-26T12:00")
    assert not covers("2026-12-18 16:00 to 2026-12-18 18:00", "2026-12-18T18:00")
    assert covers("every 02-29", "2028-02-29T10:00")
    assert covers("every Sat, Sun", "2026-11-29T10:00")
    assert not covers("every Fri 16:00-24:00", "2026-12-04T15:59")
    assert covers("every Fri 16:00-24:00", "2026-12-04T23:59:59")


def test_lines_that_are_there_already_are_not_added_again():
    assert merged("2026-12-25 Christmas", ["2026-12-25  Christmas", "2026-12-26"]) == "2026-12-25 Christmas\n2026-12-26"


def test_an_ics_file_is_read_with_its_repetitions_and_by_the_clocks_of_the_site():
    year = datetime.date.today().year + 1
    assert calendar_import.lines_of(ICS.format(year=year).replace("\n", "\r\n")) == [
        f"{year}-12-01 17:00 to {year}-12-02 07:00 Freeze",
        f"{year}-12-15 17:00 to {year}-12-16 07:00 Freeze",
        f"{year}-12-25 to {year}-12-26 Christmas, both days",
    ]


def _file(*lines):
    return "\n".join(("BEGIN:VCALENDAR", "BEGIN:VEVENT", "UID:1", "SUMMARY:Odd", *lines, "END:VEVENT", "END:VCALENDAR"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("no calendar", "This is no iCalendar file"),
        ("", "This is no iCalendar file"),
        ("\x00\x01", "This is no iCalendar file"),
        ("BEGIN:VCALENDAR\nEND:VCALENDAR", "No event of the file"),
        (_file("DTSTART:soon"), "“Odd” cannot be read"),
        (_file("DTSTART:20200101T000000Z", "RRULE:FREQ=SECONDLY"), "more often than once a day"),
        (_file("DTSTART:20200101T000000Z", "RRULE:FREQ=DAILY;BYHOUR=1,2"), "more often than once a day"),
        (_file("DTSTART;VALUE=DATE:20000101"), "No event of the file"),
    ],
)
def test_what_a_file_does_not_say_is_a_sentence(text, words):
    with pytest.raises(WrongArguments) as wrong:
        calendar_import.lines_of(text)
    assert words in wrong.value.errors["file"][0]


def test_without_the_package_the_remedy_is_said(monkeypatch):
    monkeypatch.setattr(calendar_import.importlib.util, "find_spec", lambda name: None)
    assert not calendar_import.is_installed()
    with pytest.raises(WrongArguments, match=r"django-jobroom\[calendars\]"):
        calendar_import.lines_of("BEGIN:VCALENDAR")

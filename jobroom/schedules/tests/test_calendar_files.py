"""Files of a calendar's form: .ics, tables and lines; what cannot be read is a sentence, and nothing typed is lost."""

import io

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile

from jobroom.arguments import WrongArguments
from jobroom.schedules.models import Calendar
from jobroom.schedules.services.calendar_file import MOST_BYTES, lines_of

ICS = (
    "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTART;VALUE=DATE:20270501\r\n"
    "SUMMARY:Labour Day\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
)


def read(content, name="days.csv"):
    return lines_of(io.BytesIO(content if isinstance(content, bytes) else content.encode()), name)


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        ("Date,Name\n2026-12-25,Christmas\n", ["2026-12-25 Christmas"]),
        ("2026-12-24,2027-01-01,Company holidays", ["2026-12-24 to 2027-01-01 Company holidays"]),
        ("2026-12-24,,Eve", ["2026-12-24 Eve"]),
        ('Von;Bis;Was\n24.12.2026;01.01.2027;"Betriebs; ferien"\n', ["2026-12-24 to 2027-01-01 Betriebs; ferien"]),
        ('"2026-12-25"\t"Christmas, all day"', ["2026-12-25 Christmas, all day"]),
        ("2026-12-18 16:00,2027-01-04 08:00,Freeze", ["2026-12-18 16:00 to 2027-01-04 08:00 Freeze"]),
        ("# ours\nevery 05-01 Labour Day\nevery Sat, Sun", ["# ours", "every 05-01 Labour Day", "every Sat, Sun"]),
        ("\ufeff2026-12-25 Christmas\r\n\r\n", ["2026-12-25 Christmas"]),
        ("Tag;Name\n06.01.2027;Dreikönig".encode("cp1252"), ["2027-01-06 Dreikönig"]),
    ],
)
def test_tables_and_lines(content, lines):
    assert read(content) == lines


def test_an_ics_file_is_known_by_what_is_in_it():
    assert read(ICS, "holidays.txt") == ["2027-05-01 Labour Day"]


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        ("", "days.csv", "It is empty."),
        (" \n\n", "days.csv", "It is empty."),
        ("soon", "days.ics", "This is no iCalendar file"),
        ("Day,Name\n2026-13-25,Christmas", "days.csv", "Line 2, “2026-13-25 Christmas”: month must be in 1..12"),
        ("2026-12-25\nsoon\n", "days.txt", "Line 2, “soon” is not understood"),
        (b"PK\x03\x04\x00\x00", "days.csv", "It is no text."),
        ("\n".join(["2026-12-25"] * 2001), "days.csv", "2000 are the most"),
        ("ä" * (MOST_BYTES // 2 + 1), "days.csv", "It is larger than 2 MB."),
        ('"' * 200_000, "days.csv", "is not understood"),
    ],
)
def test_what_cannot_be_read_is_a_sentence(content, name, words):
    with pytest.raises(WrongArguments) as wrong:
        read(content, name)
    assert list(wrong.value.errors) == ["file"]
    assert words in wrong.value.errors["file"][0]


@pytest.fixture
def chief(client, db):
    client.force_login(User.objects.create_superuser("chief"))
    return client


def file(content="2027-05-01,Labour Day", name="days.csv"):
    return SimpleUploadedFile(name, content.encode())


def test_what_a_file_says_is_answered_and_not_kept(chief):
    answer = chief.post("/calendars/read/", {"file": file()})
    assert (answer.status_code, answer.json()) == (201, {"lines": ["2027-05-01 Labour Day"]})
    wrong = chief.post("/calendars/read/", {"file": file("soon", "days.ics")})
    assert (wrong.status_code, list(wrong.json()["errors"])) == (400, ["file"])
    assert chief.post("/calendars/read/").status_code == 400
    assert not Calendar.objects.exists()


def test_without_a_script_the_file_comes_with_the_form(chief):
    assert chief.post("/calendars/new/", {"name": "Ours", "days": "every Sat", "file": file()}).status_code == 303
    assert Calendar.objects.get().days == "every Sat\n2027-05-01 Labour Day"


def test_what_was_typed_stays_where_the_file_is_refused(chief):
    typed = {"name": "Ours", "days": "every Sat", "description": "What is typed"}
    answer = chief.post("/calendars/new/", {**typed, "file": file("soon")})
    form = answer.context["form"]
    assert (answer.status_code, list(form.errors)) == (422, ["file"])
    assert {name: form[name].value() for name in typed} == typed


@pytest.mark.parametrize("wrong", [{"name": ""}, {"days": "every Sat\nsoon"}])
def test_what_the_file_said_stays_where_something_else_is_wrong(chief, wrong):
    """A browser forgets the file, so its lines are typed for the person."""
    typed = {"name": "Ours", "days": "every Sat", **wrong}
    answer = chief.post("/calendars/new/", {**typed, "file": file()})
    assert (answer.status_code, list(answer.context["form"].errors)) == (422, list(wrong))
    assert answer.context["form"]["days"].value() == f"{typed['days']}\n2027-05-01 Labour Day"

"""The file of a calendar's form: read when it is chosen, shown before it is kept, and nothing lost where it is refused."""

import json

import pytest
from playwright.sync_api import FilePayload, Page, expect

from jobroom.schedules.models import Calendar

pytestmark = [pytest.mark.browser, pytest.mark.django_db, pytest.mark.timeout(480)]

ICS = (
    "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTART;VALUE=DATE:20270501\r\n"
    "SUMMARY:Labour Day\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
)


def choose(page: Page, name: str, content: str | bytes) -> None:
    body = content if isinstance(content, bytes) else content.encode()
    file: FilePayload = {"name": name, "mimeType": "application/octet-stream", "buffer": body}
    page.get_by_label("File with days").set_input_files(file)


def alert(page: Page):
    return page.locator("[data-field=file] [role=alert]")


def test_good_broken_and_huge_files(page):
    """On the product's own server: what each file says is there at once, and what is typed stays."""
    page.expects_troubles = True  # the browser writes each refused request on its console
    page.goto("/calendars/new/")
    page.get_by_label("Name").fill("Ours")
    days = page.get_by_label("Days, one a line")
    days.fill("every Sat, Sun")
    choose(page, "holidays.ics", ICS)
    expect(days).to_have_value("every Sat, Sun\n2027-05-01 Labour Day")
    expect(page.get_by_text("Added above: 1 line of holidays.ics.")).to_be_visible()
    choose(page, "holidays.csv", "Date,Name\n2027-05-01,Labour Day\n2026-12-25,Christmas\n")
    expect(days).to_have_value("every Sat, Sun\n2027-05-01 Labour Day\n2026-12-25 Christmas")
    choose(page, "broken.ics", "BEGIN:VCALENDAR\nsoon")
    expect(alert(page)).to_contain_text("File with days is not uploaded. This is no iCalendar file")
    expect(alert(page)).to_contain_text("export it as .ics again")
    choose(page, "broken.csv", "2026-12-25,Christmas\nsoon,Easter\n")
    expect(alert(page)).to_contain_text("Line 2, “soon,Easter” is not understood. Write a day such as 2026-12-25")
    choose(page, "huge.csv", b"x" * 3_000_000)
    expect(alert(page)).to_contain_text("It has 2.9 MB, and 2.0 MB are the most. Choose a smaller one.")
    page.get_by_role("button", name="Keep the calendar").click()
    expect(page.get_by_label("File with days")).to_be_focused()
    expect(page.get_by_label("Name")).to_have_value("Ours")
    expect(days).to_have_value("every Sat, Sun\n2027-05-01 Labour Day\n2026-12-25 Christmas")
    page.get_by_label("File with days").set_input_files([])
    expect(alert(page)).to_be_empty()
    page.get_by_role("button", name="Keep the calendar").click()
    expect(page.get_by_text("The calendar is kept.")).to_be_visible()
    assert Calendar.objects.get().days == "every Sat, Sun\n2027-05-01 Labour Day\n2026-12-25 Christmas"


def test_a_connection_that_breaks_off_keeps_the_form_and_the_file(pages, client):
    pages.answers["/calendars/read/"] = (0, "", "")
    page = pages.show(client, "/calendars/new/")
    page.get_by_label("Name").fill("Ours")
    choose(page, "days.csv", "2027-05-01")
    expect(alert(page)).to_contain_text("The connection broke off")
    page.get_by_role("button", name="Keep the calendar").click()
    expect(page.get_by_role("button", name="Upload again")).to_be_focused()
    pages.answers["/calendars/read/"] = (201, json.dumps({"lines": ["2027-05-01"]}), "application/json")
    page.get_by_role("button", name="Upload again").click()
    expect(page.get_by_label("Days, one a line")).to_have_value("2027-05-01")
    expect(page.get_by_label("Name")).to_have_value("Ours")

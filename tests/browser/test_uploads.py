"""The launch form's fields for files: uploaded at once, and on a bad network neither the file nor what was typed is lost."""

import json
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from jobroom.jobs.models import StoredFile

pytestmark = [pytest.mark.browser, pytest.mark.django_db, pytest.mark.timeout(480)]

ADDRESS = "/tasks/demo.every_field/"
STORED = "11111111-1111-4111-8111-111111111111"
TAKEN = (201, json.dumps({"id": STORED}), "application/json")
NOTES = {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"x" * 4000}
# What the form would send for its file: the name of the file itself, and the id of one that is stored.
SENT = """(name) => {
    const data = new FormData(document.querySelector("form.launch"));
    return [data.get(name)?.name || null, data.get(`${name}-stored`) || null];
}"""


@pytest.fixture
def form(pages, client):
    page = pages.show(client, ADDRESS)
    page.get_by_label("Word", exact=True).fill("typed with care")
    return page


def place(page: Page):
    return page.locator("input[type=file]").first


def sent(page: Page):
    return page.evaluate(SENT, place(page).get_attribute("name"))


def is_as_it_was(page: Page) -> None:
    """Nothing typed or chosen is lost, and the page is still there."""
    assert urlsplit(page.url).path == ADDRESS
    expect(page.get_by_label("Word", exact=True)).to_have_value("typed with care")
    assert place(page).evaluate("(input) => input.files[0].name") == "notes.txt"


def test_a_chosen_file_is_uploaded_at_once_and_the_form_sends_its_id(pages, form):
    pages.answers["/api/files/"] = TAKEN
    place(form).set_input_files(NOTES)
    expect(form.get_by_text("notes.txt is uploaded (4 KB).")).to_be_visible()
    assert sent(form) == [None, STORED]


def test_the_form_of_a_schedule_is_as_kind(pages, client):
    pages.answers["/api/files/"] = (503, "<h1>of a proxy</h1>", "text/html")
    page = pages.show(client, "/schedules/new/?task=demo.every_field")
    place(page).set_input_files(NOTES)
    expect(page.locator("[data-uploaded] [role=alert]").first).to_contain_text(
        "The server could not take the file (503)."
    )
    pages.answers["/api/files/"] = TAKEN
    page.get_by_role("button", name="Upload again").click()
    expect(page.get_by_text("notes.txt is uploaded (4 KB).")).to_be_visible()
    assert sent(page) == [None, STORED]


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (413, '{"detail": "It has more than 3 bytes."}', "It has more than 3 bytes. Choose a smaller one."),
        (413, "<h1>of a proxy</h1>", "The server takes no file as large as this one. Choose a smaller one."),
        (500, "<h1>broken</h1>", "The server could not take the file (500). The file is still chosen"),
        (503, '{"detail": "Redis does not answer."}', "Redis does not answer. The file is still chosen"),
        (401, '{"detail": "No credentials."}', "You are logged out. Log in in another tab, then upload it again"),
    ],
)
def test_a_file_that_is_refused_keeps_the_form_where_it_is(pages, form, status, body, says):
    pages.answers["/api/files/"] = (status, body, "application/json")
    place(form).set_input_files(NOTES)
    alert = form.locator("[data-uploaded] [role=alert]").first
    expect(alert).to_contain_text(
        f"{form.locator('.field', has=place(form)).locator('label').first.inner_text()} is not uploaded. {says}"
    )
    form.get_by_role("button", name="Launch", exact=True).click()
    again = form.get_by_role("button", name="Upload again")
    expect(again).to_be_focused()
    is_as_it_was(form)
    pages.answers["/api/files/"] = TAKEN
    again.click()
    expect(form.get_by_text("notes.txt is uploaded (4 KB).")).to_be_visible()
    expect(alert).to_be_empty()
    assert sent(form) == [None, STORED]


def test_a_connection_that_breaks_off_is_said_and_the_launch_is_not_sent(pages, form):
    pages.answers["/api/files/"] = (0, "", "")
    devtools = form.context.new_cdp_session(form)
    slow = {"offline": False, "latency": 50, "downloadThroughput": 1_000_000, "uploadThroughput": 300_000}
    devtools.send("Network.enable")
    devtools.send("Network.emulateNetworkConditions", slow)
    place(form).set_input_files({**NOTES, "buffer": b"x" * 600_000})
    expect(form.locator("[data-uploaded] [role=status]").first).to_contain_text(" of 587 KB")
    form.get_by_role("button", name="Launch", exact=True).click()
    expect(form.locator("[data-uploaded] [role=alert]").first).to_contain_text("The connection broke off after")
    expect(form.get_by_role("button", name="Upload again")).to_be_focused()
    is_as_it_was(form)
    pages.answers["/api/files/"] = TAKEN
    form.evaluate("() => { dispatchEvent(new Event('online')) }")
    expect(form.get_by_text("notes.txt is uploaded (586 KB).")).to_be_visible()
    is_as_it_was(form)


def test_a_file_of_another_type_is_not_sent_with_the_form(form):
    place(form).evaluate("(input) => (input.accept = '.ply')")
    place(form).set_input_files(NOTES)
    form.get_by_role("button", name="Launch", exact=True).click()
    expect(form.locator("[data-uploaded] [role=alert]").first).to_contain_text("Choose a file of type .ply.")
    expect(place(form)).to_be_focused()
    is_as_it_was(form)


def test_back_from_the_page_of_an_error_finds_the_upload_again(pages, client, form):
    pages.answers["/api/files/"] = TAKEN
    place(form).set_input_files(NOTES)
    expect(form.get_by_text("notes.txt is uploaded (4 KB).")).to_be_visible()
    pages.fetched(client, "/tasks/")  # whatever comes instead of the job's page
    form.locator("form.launch").evaluate("(form) => form.submit()")
    expect(form.get_by_role("heading", name="Tasks", exact=True)).to_be_visible()
    pages.fetched(client, ADDRESS)
    form.go_back()
    expect(form.get_by_text("notes.txt is uploaded (4 KB).")).to_be_visible()
    assert sent(form) == [None, STORED]


def test_of_an_upload_and_a_file_of_before_the_one_that_was_chosen_last_is_sent(pages, client):
    before = StoredFile.objects.create(name="old.txt", size=3, owner=User.objects.get())
    pages.answers["/api/files/"] = TAKEN
    page = pages.show(client, ADDRESS)
    place(page).set_input_files(NOTES)
    expect(page.get_by_text("notes.txt is uploaded (4 KB).")).to_be_visible()
    page.get_by_label("or one uploaded before").first.select_option(str(before.pk))
    expect(page.get_by_text("notes.txt is uploaded")).to_be_hidden()
    assert sent(page) == [None, str(before.pk)]

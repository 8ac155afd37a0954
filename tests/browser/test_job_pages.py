"""The pages in a real browser: they follow the database by themselves, fit a phone and obey their own policy."""

import pytest
from playwright.sync_api import expect

from jobroom.jobs.models import Job, State
from jobroom.jobs.tests.events import event, finished, queued, record, started
from tests.browser.conftest import PHONE

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.timeout(240)]


@pytest.fixture(autouse=True)
def no_socket(page):
    """Let no socket come up: these pages follow the database by polling."""
    page.route_web_socket("**/ws/live/", lambda socket: socket.close())
    page.reload()


def test_the_page_of_a_job_follows_it_to_its_end(page):
    record(queued(1), started(2), event(3, "progress", execution="a", fraction=0.25, message="Quarter"))
    page.goto("/jobs/job/")
    page.evaluate("window.untouched = true")
    expect(page.get_by_text("Quarter")).to_be_visible()
    record(event(4, "log", execution="a", level="info", message="A line of the log"))
    expect(page.get_by_text("A line of the log")).to_be_visible()
    record(finished(5, state="failed", error="It broke", traceback="Traceback here"))
    expect(page.locator(".heading .state-failed")).to_be_visible()
    page.get_by_text("Traceback", exact=True).click()
    expect(page.get_by_text("Traceback here")).to_be_visible()
    assert page.evaluate("window.untouched"), "the page was loaded again"


def test_lists_follow_the_database_and_filter_by_address(page):
    expect(page.get_by_text("No job yet")).to_be_visible()
    record(queued(1))
    expect(page.get_by_role("link", name="add")).to_be_visible()
    page.get_by_label("Search").fill("nothing like it")
    page.get_by_label("Search").press("Enter")
    expect(page.get_by_text("No job matches")).to_be_visible()
    assert "q=nothing+like+it" in page.url


@pytest.mark.parametrize("path", ["/", "/jobs/", "/jobs/job/", "/tasks/"])
def test_pages_fit_a_phone_in_light_and_dark(page, path):
    wide = "a-word-without-a-place-to-break-" * 8
    record(queued(1, args=[wide], schedule=wide), started(2), finished(3, state="failed", error=wide))
    Job.objects.create(pk=wide, task=wide, label=wide[:120], state=State.QUEUED, lock=wide)
    page.set_viewport_size(PHONE)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == "rgb(16, 21, 27)"


def test_the_keyboard_reaches_the_content_first(page):
    page.goto("/")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    outline = skip.evaluate("element => getComputedStyle(element).outlineStyle")
    assert outline == "solid"

"""The pages in a real browser: they follow the book by themselves, fit a phone and obey their own policy."""

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, ViewportSize, expect, sync_playwright

from common import redis
from common.testing.tiers import chromium
from jobs.models import Job, State
from jobs.tests.events import event, finished, queued, record, started

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.timeout(120)]

PHONE: ViewportSize = {"width": 390, "height": 844}
DESKTOP: ViewportSize = {"width": 1280, "height": 900}


@pytest.fixture
def page(live_server, monkeypatch) -> Iterator[Page]:
    """Return a logged-in page; afterwards no error may stand on its console."""
    # Playwright's own loop runs in this thread; Django takes that for asynchronous code.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
    redis.client().flushdb()
    User.objects.create_superuser("grace", password="hopper")
    troubles: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        page = browser.new_page(base_url=live_server.url, viewport=DESKTOP)
        page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.goto("/login/?next=/jobs/")
        page.get_by_label("User name").fill("grace")
        page.get_by_label("Password").fill("hopper")
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("heading", name="Jobs", exact=True)).to_be_visible()
        yield page
        browser.close()
    assert troubles == []


def test_the_page_of_a_job_follows_it_to_its_end(page):
    record(queued(1), started(2), event(3, "progress", execution="a", fraction=0.25, message="Quarter"))
    page.goto("/jobs/job/")
    page.evaluate("window.untouched = true")
    expect(page.get_by_text("Quarter")).to_be_visible()
    record(event(4, "log", execution="a", level="info", message="A line of the log"))
    expect(page.get_by_text("A line of the log")).to_be_visible(timeout=30_000)
    record(finished(5, state="failed", error="It broke", traceback="Traceback here"))
    expect(page.locator(".heading .state-failed")).to_be_visible(timeout=30_000)
    page.get_by_text("Traceback", exact=True).click()
    expect(page.get_by_text("Traceback here")).to_be_visible()
    assert page.evaluate("window.untouched"), "the page was loaded anew"


def test_lists_follow_the_book_and_filter_by_address(page):
    expect(page.get_by_text("No job yet")).to_be_visible()
    record(queued(1))
    expect(page.get_by_role("link", name="add")).to_be_visible(timeout=30_000)
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

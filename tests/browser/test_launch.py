"""The main job of the product: launch from a form, watch it work, get its result; with a lost line in the middle."""

import re

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import expect

from jobroom.jobs.models import Job, State
from jobroom.testing import wait_until
from jobroom.testing.processes import Recorder, Worker, running
from tests.browser.conftest import log_in

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.timeout(360)]


@pytest.fixture
def engine(site):
    with running(Recorder(), Worker()):
        yield


def launch_progress(page, secs, steps=200):
    page.goto("/tasks/demo.progress/")
    page.get_by_label("Secs").fill(str(secs))
    page.get_by_label("Steps").fill(str(steps))
    page.get_by_role("button", name="Launch").click()
    expect(page).to_have_url(re.compile(r"/jobs/[0-9a-f-]{36}/"))


def test_a_job_is_launched_and_watched_to_its_end_without_a_reload(page, engine):
    launch_progress(page, 3)
    page.evaluate("window.untouched = true")
    expect(page.locator(".heading .state-succeeded")).to_be_visible()
    expect(page).to_have_title(re.compile("✔ Progress"))
    assert page.evaluate("window.untouched"), "the page was loaded again"


def test_a_lost_line_is_said_and_caught_up(page, engine):
    page.expects_troubles = True  # the browser itself reports each failed request
    launch_progress(page, 6)
    expect(page.locator("html[data-live=on]")).to_be_attached()
    page.context.set_offline(True)
    page.evaluate("window.untouched = true")
    expect(page.locator("html[data-live=off]")).to_be_attached()
    wait_until(lambda: Job.objects.get().state == State.SUCCEEDED, 90, "it ends while no one can hear of it")
    page.context.set_offline(False)
    expect(page.locator(".heading .state-succeeded")).to_be_visible()
    assert page.evaluate("window.untouched")


# What the bar has shown since. A busy machine draws fewer steps than there are, and some of them at once.
SEEN = """() => {
    window.seen = new Set();
    const look = () => document.querySelectorAll("[data-progress]").forEach((bar) => window.seen.add(bar.value));
    new MutationObserver(look).observe(document.querySelector("main"), { subtree: true, childList: true, attributes: true });
}"""


def test_a_running_job_moves_and_is_cancelled_from_its_page(page, engine):
    launch_progress(page, 600, steps=6000)
    page.evaluate("window.untouched = true")
    page.evaluate(SEEN)
    expect(page.locator("[data-progress]")).to_be_visible()
    wait_until(lambda: page.evaluate("window.seen.size") > 5, 60, "the bar moves")
    page.get_by_role("button", name="Cancel").click()
    # That it was asked to is said until it has, which may be before the page is there: tests/browser/test_doubts.py sees it.
    expect(page.locator(".heading .state-cancelled")).to_be_visible()
    expect(page.get_by_text("Cancelled by grace.")).to_be_visible()
    expect(page.get_by_role("button", name="Cancel")).to_be_disabled()


def test_errors_stand_at_their_fields(page):
    page.goto("/tasks/demo.progress/")
    page.expects_troubles = True  # 422 is an error to the browser's console
    page.get_by_label("Secs").fill("")
    page.get_by_label("Steps").fill("1.5")
    page.get_by_role("button", name="Launch").click()
    expect(page.get_by_text("Give a whole number")).to_be_visible()
    assert not Job.objects.exists()


def test_run_again_brings_the_old_arguments(page):
    Job.objects.create(id="old", task="demo.echo", state=State.FAILED, kwargs={"text": "once more"})
    page.goto("/jobs/old/")
    page.get_by_role("link", name="Run again").click()
    expect(page.get_by_label("Text")).to_have_value("once more")


def test_the_form_asks_only_for_what_the_chosen_time_needs(page):
    page.goto("/tasks/demo.echo/")
    page.get_by_role("heading", name="When and where").click()
    expect(page.get_by_label("Time", exact=True)).to_be_hidden()
    page.get_by_label("When", exact=True).select_option("later")
    expect(page.get_by_label("Time", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Launch at that time")).to_be_visible()


def test_someone_without_the_right_sees_none_of_it(page):
    Job.objects.create(id="hers", task="demo.echo", owner=User.objects.get(username="grace"))
    User.objects.create_user("bob", password="builder-of-things")
    page.expects_troubles = True  # 404 is an error to the browser's console
    page.context.clear_cookies()
    log_in(page, "bob", "builder-of-things")
    for path in ("/jobs/hers/", "/tasks/demo.echo/"):
        assert page.goto(path).status == 404
    answer = page.evaluate(
        """() => new Promise((resolve) => {
            const socket = new WebSocket(`ws://${location.host}/ws/live/`);
            socket.onopen = () => socket.send(JSON.stringify({ subscribe: "job:hers", after: null }));
            socket.onmessage = (event) => resolve(JSON.parse(event.data).type);
        })"""
    )
    assert answer == "denied"

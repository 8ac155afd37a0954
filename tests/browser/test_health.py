"""One sentence about Jobroom and its connection on every page; nothing that was typed is lost by it."""

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.utils import timezone
from playwright.sync_api import expect

from jobroom.jobs.models import Job
from jobroom.live.publish import publish
from jobroom.testing import wait_until
from tests.browser.conftest import PHONE, log_in

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.timeout(240)]


@pytest.fixture
def line(page):
    page.expects_troubles = True  # the browser itself reports each failed request
    return page.locator("[data-health]")


def test_trouble_absence_and_logout_are_said_once_and_cost_nothing(page, line, site):
    page.goto("/tasks/demo.echo/")
    expect(line).to_contain_text("No worker serves")
    expect(line).to_contain_text("at least since", ignore_case=True)
    expect(line.get_by_role("link")).to_have_attribute("href", "/health/")
    page.get_by_label("Text").fill("typed with care")
    page.set_viewport_size(PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]

    page.context.set_offline(True)
    expect(line).to_contain_text("The server does not answer")
    page.get_by_role("button", name="Launch").click()
    expect(line).to_contain_text("Nothing was sent; what you typed is still here")
    expect(page.get_by_label("Text")).to_have_value("typed with care")
    page.context.set_offline(False)
    expect(line).to_contain_text("No worker serves")

    Session.objects.all().delete()
    page.get_by_role("button", name="Launch").click()
    expect(line).to_contain_text("You are logged out in this browser")
    expect(page.get_by_label("Text")).to_have_value("typed with care")
    assert page.url.endswith("/tasks/demo.echo/")
    assert not Job.objects.exists()


def test_what_was_typed_goes_through_after_a_login_in_another_tab(page, line):
    page.goto("/tasks/demo.echo/")
    page.get_by_label("Text").fill("typed with care")
    Session.objects.all().delete()
    page.get_by_role("button", name="Launch").click()
    log = line.get_by_role("link", name="Log in")
    expect(log).to_have_attribute("target", "_blank")
    other = page.context.new_page()
    log_in(other, "grace", "hopper")  # which gives the browser another CSRF token
    page.get_by_role("button", name="Launch").click()
    page.wait_for_url("**/jobs/*/")
    assert Job.objects.get().kwargs == {"text": "typed with care"}


def test_a_form_waits_for_a_slow_server_and_is_sent_once(page, line):
    page.goto("/tasks/demo.echo/")
    page.get_by_label("Text").fill("typed with care")
    held = []
    page.route(
        "**/health/line/", lambda route: held.append(route) if route.request.method == "HEAD" else route.continue_()
    )
    page.get_by_role("button", name="Launch").click()
    expect(line).to_contain_text("What you have just sent waits for it.")
    page.get_by_role("button", name="Launch").click()
    (asked,) = held
    asked.continue_()
    page.wait_for_url("**/jobs/*/")
    assert Job.objects.get().kwargs == {"text": "typed with care"}


def test_no_line_claims_to_be_fresh_while_the_server_is_away(page, line):
    page.goto("/")
    expect(page.locator("[data-freshness]")).to_be_visible()
    page.context.set_offline(True)
    expect(page.locator("[data-freshness]")).to_be_hidden()
    expect(line).to_contain_text("The server does not answer")
    page.context.set_offline(False)
    expect(page.locator("[data-freshness]")).to_be_visible()


# A network that is gone without a word: what closes a socket waits for the other side.
NO_CLOSE = """() => {
    const add = WebSocket.prototype.addEventListener;
    WebSocket.prototype.addEventListener = function (kind, ...rest) { if (kind !== "close") add.call(this, kind, ...rest); };
    WebSocket.prototype.close = () => {};
}"""


def test_a_socket_that_cannot_be_closed_is_given_up_at_once(page, line):
    page.add_init_script(f"({NO_CLOSE})()")
    page.goto("/jobs/")
    live = page.locator("html[data-live=on]")
    expect(live).to_be_attached()
    page.context.set_offline(True)
    expect(page.locator("html[data-live=off]")).to_be_attached()
    page.context.set_offline(False)
    expect(live).to_be_attached()


def test_a_socket_is_not_trusted_where_requests_get_no_answer(page, line):
    page.add_init_script(f"({NO_CLOSE})()")
    page.goto("/jobs/")
    expect(page.locator("html[data-live=on]")).to_be_attached()
    page.evaluate("window.offs = 0; new MutationObserver(() => (window.offs += document.documentElement.dataset.live === 'off'))"
                  ".observe(document.documentElement, { attributes: true })")  # fmt: skip
    page.route("**/jobs/", lambda route: route.abort())

    def given_up():
        publish([("jobs", {"type": "changed", "seq": 0})])
        return page.evaluate("window.offs")

    wait_until(given_up, what="a request fails, and the socket is given up")
    page.unroute("**/jobs/")
    expect(page.locator("html[data-live=on]")).to_be_attached()


# The question whether the server is there, before anything is sent, is answered when the test says so.
SLOW_QUESTION = """() => {
    const ask = window.fetch;
    const asked = new Promise((resolve) => (window.answer = resolve));
    window.pages = 0;
    window.fetch = async (address, options) => {
        if (options?.method !== "HEAD") {
            if (options?.headers?.Accept === "text/html") window.pages += 1;
            return ask(address, options);
        }
        await asked;
        return ask(address, { ...options, signal: undefined }); // however long the test took
    };
}"""


def test_what_a_click_sends_is_sent_though_the_page_is_refreshed_meanwhile(page):
    owner = User.objects.get(username="grace")
    job = Job.objects.create(
        id="running", task="demo.echo", state="running", execution="x", owner=owner, started_at=timezone.now()
    )
    page.add_init_script(f"({SLOW_QUESTION})()")
    page.goto(f"/jobs/{job.pk}/")
    expect(page.locator("html[data-live=on]")).to_be_attached()
    page.get_by_role("button", name="Cancel").click()
    before = page.evaluate("window.pages")

    def refreshed():
        publish([(f"job:{job.pk}", {"type": "state", "seq": 2**50})])
        return page.evaluate("window.pages") > before + 1

    wait_until(refreshed, what="the page has asked for its region, and has had time to show it")
    page.evaluate("window.answer()")
    expect(page.get_by_text("Asked to stop")).to_contain_text("grace")
    assert Job.objects.get().cancel_by == "grace"

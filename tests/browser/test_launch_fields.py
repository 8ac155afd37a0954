"""Nothing that someone types into a launch form is lost, however late and in whatever order the server answers."""

import contextlib
import itertools
import time
from typing import Any

import pytest
from playwright.sync_api import Error, Page, Route, expect

from tests.browser.conftest import PATIENCE, PHONE

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.timeout(240)]

# What is typed into each kind of field, and what must stand there.
TYPED = {
    "Word": "some text here",
    "Text": "a line, another",
    "Password": "open sesame",
    "Names": "ada grace",
    "Count": "7",
    "Weight": "2.75",
    "Price": "12.30",
    "Pause": "1h 15m",
    "Extra": '{"a": [1, 2]}',
    "Ticket": "2f1c9a52-8a0c-4a39-9a7e-6d6b1c0a9a11",
}


class LateServer:
    """Answers to questions for dependent fields, each held back: every second one is overtaken by the next."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.asked = self.answered = 0
        self.turns = itertools.cycle([0.6, 0.05])
        page.route("**/tasks/**", self.answer)

    def answer(self, route: Route) -> None:
        """Hold one answer back."""
        if route.request.method != "POST" or "launch-refresh" not in (route.request.post_data or ""):
            route.continue_()
            return
        self.asked += 1
        answer = route.fetch(
            timeout=PATIENCE, max_retries=5
        )  # a connection that the server has just closed is no answer
        time.sleep(next(self.turns))
        with contextlib.suppress(Error):  # the page may have given the question up
            route.fulfill(response=answer)
        self.answered += 1

    def has_answered(self, least: int) -> None:
        """Wait until so many questions have been asked, and the page has taken the answer to the last of them."""
        while self.answered < max(least, self.asked):
            self.page.wait_for_timeout(50)  # in which questions are answered
        self.page.evaluate("() => new Promise((done) => setTimeout(done))")


def field(page: Page, label: str) -> Any:
    return page.locator("#fields").get_by_label(label, exact=True)


@pytest.mark.parametrize("pause", [30, 200])
def test_typing_beside_late_answers_loses_nothing(page, pause):
    server = LateServer(page)
    page.goto("/tasks/demo.every_field/")
    field(page, "File").set_input_files({"name": "mine.txt", "mimeType": "text/plain", "buffer": b"kept"})
    for label, text in TYPED.items():
        field(page, label).focus()
        page.keyboard.press("ControlOrMeta+a")
        page.keyboard.type(text, delay=pause / (1 if len(text) < 16 else 4))
        page.keyboard.press("Tab")  # the change: the server is asked while the next field is typed into
    server.has_answered(len(TYPED))
    assert {label: field(page, label).input_value() for label in TYPED} == TYPED
    assert field(page, "File").evaluate("input => input.files[0].name") == "mine.txt"


def test_only_what_depends_changes_and_focus_caret_and_scroll_stay(page):
    page.set_viewport_size(PHONE)
    LateServer(page)
    page.goto("/tasks/demo.every_field/")
    elements = page.evaluate_handle("() => [...document.querySelectorAll('#fields [data-field]')]")
    field(page, "Scoops").select_option("2")
    with page.expect_response(lambda answer: answer.request.method == "POST"):
        page.locator("select[name=vessel]").select_option("cone")
        field(page, "Text").fill("here I write")
        field(page, "Text").evaluate("area => area.setSelectionRange(2, 6)")
        scrolled = page.evaluate("scrollY")
    expect(page.locator("[name=lid]")).to_have_count(0)
    assert page.evaluate("scrollY") == scrolled
    assert field(page, "Text").evaluate("area => [area.selectionStart, area.selectionEnd]") == [2, 6]
    expect(field(page, "Text")).to_be_focused()
    expect(page.locator("select[name=scoops] option")).to_have_count(2)
    expect(page.locator("select[name=scoops]")).to_have_value("2")
    replaced = "before => before.filter(one => !one.isConnected).map(one => one.dataset.field)"
    assert elements.evaluate(replaced) == ["lid"]
    page.locator("select[name=vessel]").select_option("cup")
    expect(page.locator("[name=lid]")).to_have_count(1)
    assert elements.evaluate(replaced) == [], "a field that comes back brings what was chosen in it"


def test_an_answer_that_never_comes_is_said_and_costs_nothing(page):
    page.expects_troubles = True  # the browser itself reports each failed request
    page.goto("/tasks/demo.every_field/")
    page.context.set_offline(True)
    field(page, "Word").fill("typed offline")
    page.locator("select[name=vessel]").select_option("cone")
    expect(page.get_by_text("choices that depend on other answers may be out of date")).to_be_visible()
    page.context.set_offline(False)
    expect(page.locator("select[name=scoops] option")).to_have_count(2)
    expect(page.get_by_text("choices that depend on other answers may be out of date")).to_be_hidden()
    expect(field(page, "Word")).to_have_value("typed offline")

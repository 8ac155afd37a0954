"""The catalogue of tasks with two hundred of them, on a phone: found as one types, and nothing is wider than the screen."""

import contextlib

import pytest
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import expect

from jobroom import redis
from jobroom.testing.tasks import made_task
from tests.browser.conftest import PHONE

pytestmark = [pytest.mark.browser, pytest.mark.django_db, pytest.mark.timeout(480)]


def test_one_of_two_hundred_tasks_is_found_on_a_phone_as_one_types(pages):
    redis.client().flushdb()
    client = Client()
    client.force_login(User.objects.create_superuser("grace", password="hopper"))

    def import_readings(table: str, rows: int = 3) -> None:
        """Import the readings of one station."""

    with contextlib.ExitStack() as made:
        for number in range(200):
            name = f"station_{number // 10:02}.import_{number:03}" + (
                "_and_compare_with_all_the_others" if number == 150 else ""
            )
            made.enter_context(made_task(import_readings, name=name))
        pages.page.set_viewport_size(PHONE)
        page = pages.show(client, "/tasks/")
    search = page.get_by_role("searchbox")
    assert search.bounding_box()["y"] < 250
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    search.press_sequentially("import_150")
    shown = page.locator("#catalogue li[data-words]:visible")
    expect(shown).to_have_count(1)
    expect(shown).to_contain_text("station_15.import_150")
    assert shown.bounding_box()["y"] < PHONE["height"] / 2, "the first result is below the fold"
    expect(page.locator("[data-found]")).to_have_text("1 task")
    expect(page.locator("[data-group]:visible")).to_have_count(1)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    search.fill("no such task")
    expect(page.get_by_text("No task matches.")).to_be_visible()
    jumps = page.locator("[data-jumps]")
    expect(jumps).to_be_hidden()
    search.fill("")
    last = jumps.get_by_role("link").last
    last.click()
    heading = page.locator(last.get_attribute("href"))
    expect(heading).to_be_in_viewport()


def test_a_search_is_in_the_address_and_goes_on_from_there(pages, client):
    page = pages.show(client, "/tasks/")
    search = page.get_by_role("searchbox")
    search.fill("demo.echo")
    search.press("Enter")
    expect(page.get_by_role("link", name="Echo", exact=True)).to_be_focused()
    assert page.url.endswith("/tasks/?q=demo.echo")
    page = pages.show(client, "/tasks/?q=demo.echo")  # as it is asked for by Back
    expect(page.locator("#catalogue li[data-words]:visible")).to_have_count(1)
    search.fill("demo.ad")
    expect(page.get_by_role("link", name="Launch Add")).to_be_visible()
    search.fill("")
    expect(page.get_by_role("link", name="Launch Process asset")).to_be_visible()
    search.press("Tab")
    assert page.url.endswith("/tasks/")


def test_who_pins_a_task_stays_where_it_is(pages, client):
    pages.answers["/tasks/demo.echo/pin/"] = (200, '{"pinned": true}', "application/json")
    page = pages.show(client, "/tasks/")
    page.get_by_role("searchbox").fill("demo.ech")
    page.get_by_role("button", name="Pin Echo", exact=True).click()
    button = page.get_by_role("button", name="Unpin Echo")
    expect(button).to_have_attribute("aria-pressed", "true")
    expect(button).to_be_focused()
    expect(page.get_by_role("searchbox")).to_have_value("demo.ech")


def test_a_task_for_a_schedule_is_found_as_one_types(pages, client):
    pages.page.set_viewport_size(PHONE)
    page = pages.show(client, "/schedules/new/")
    page.get_by_role("searchbox").fill("demo.ech")
    expect(page.locator("#choices li:visible")).to_have_count(1)
    page.get_by_role("searchbox").press("Enter")
    link = page.get_by_role("link", name="Echo", exact=True)
    expect(link).to_be_focused()
    expect(link).to_have_attribute("href", "?task=demo.echo")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]

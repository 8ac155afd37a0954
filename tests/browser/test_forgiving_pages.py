"""Nothing typed is lost by a refresh or a dialog, clocks go on, and counts and times are those of the page's words."""

import re
from datetime import timedelta
from urllib.parse import quote

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import Page, expect

from jobroom.jobs.models import Job, Preset, State
from jobroom.testing import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.timeout(240)]
REFRESHED = """(id) => new Promise((done) => {
    addEventListener("refreshed", () => done(true), { once: true });
    import(document.querySelector('script[src*="main"]').src).then((main) => main.refreshNow(id));
})"""


def running(pk: str = "a", **fields) -> Job:
    now = timezone.now()
    return Job.objects.create(
        **{"pk": pk, "task": "demo.echo", "state": State.RUNNING, "started_at": now, "queued_at": now, **fields}
    )


def refreshed(page: Page, region: str) -> None:
    """Let the page refresh a region, and wait until it has."""
    page.evaluate(REFRESHED, region)


def test_a_refresh_keeps_a_note_that_is_typed_and_not_focused(page):
    job = running(owner=User.objects.get(username="grace"))
    page.goto(job.get_absolute_url())
    page.get_by_text("Note and tags…").click()
    page.get_by_label("Note", exact=True).fill("why this was launched")
    page.get_by_label("Tags, separated by commas").fill("one, two")
    page.locator("h1").click()  # the focus is elsewhere
    Job.objects.update(state=State.SUCCEEDED, finished_at=timezone.now())
    refreshed(page, "job")
    expect(page.locator("h1 + .state")).to_have_text(re.compile("Succeeded"))
    expect(page.get_by_label("Note", exact=True)).to_have_value("why this was launched")
    expect(page.get_by_label("Tags, separated by commas")).to_have_value("one, two")
    page.get_by_role("button", name="Keep").click()
    wait_until(lambda: Job.objects.get().note == "why this was launched", 60, "the note is kept")


def test_running_for_and_waiting_for_go_on_without_any_event(page):
    running()
    Job.objects.create(pk="b", task="demo.echo", state=State.QUEUED, queued_at=timezone.now())
    page.goto("/jobs/")
    clock = page.locator("[data-since]").first
    before = clock.inner_text()
    page.route("**/jobs/**", lambda route: route.abort())  # nothing comes from the server any more
    page.route("**/health/**", lambda route: route.abort())
    page.expects_troubles = True
    expect(clock).not_to_have_text(before)


def test_enter_in_the_name_of_a_preset_launches_nothing(page):
    page.goto("/tasks/demo.every_field/")
    page.get_by_label("Word", exact=True).fill("kept word")
    page.get_by_label("Password", exact=True).fill("secret words")
    page.get_by_role("heading", name="When and where").click()
    page.get_by_label("Note", exact=True).fill("for Ada")
    page.get_by_role("button", name="Keep as a preset…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Not kept: Password.")
    expect(dialog.get_by_label("Name", exact=True)).to_be_focused()
    page.keyboard.type("mine")
    page.keyboard.press("Enter")
    expect(page.locator("[data-kept]")).to_contain_text("mine")
    expect(page.get_by_label("Password", exact=True)).to_have_value("secret words")
    kept = Preset.objects.get()
    assert (kept.arguments["word"], kept.options) == ("kept word", {"note": "for Ada"})
    assert not Job.objects.exists()


def test_counts_beside_tabs_follow_the_search(page):
    for n, label in enumerate(["north", "south", "north"]):
        Job.objects.create(pk=str(n), task="demo.echo", label=label, state=State.FAILED, finished_at=timezone.now())
    page.goto("/jobs/")
    page.get_by_label("Search").fill("north")
    page.get_by_role("button", name="Filter").click()
    expect(page.get_by_role("link", name="Failed 2")).to_be_visible()


def test_times_are_in_the_zone_of_the_profile_from_server_and_script(page):
    page.goto("/account/")
    page.get_by_label("Times are shown, and read, in").select_option("Asia/Tokyo")
    page.get_by_role("button", name="Keep").click()
    expect(page.get_by_text("All times are shown in that zone.")).to_be_visible()
    at = timezone.now() - timedelta(minutes=3)
    job = Job.objects.create(pk="a", task="demo.echo", state=State.FAILED, queued_at=at, finished_at=at, created_at=at)
    page.goto(job.get_absolute_url())
    shown = page.locator(".story time").first
    expected = at.astimezone(tz=__import__("zoneinfo").ZoneInfo("Asia/Tokyo"))
    expect(shown).to_have_text(f"{expected:%Y-%m-%d %H:%M:%S}")
    shown.hover()
    expect(shown).to_have_attribute("title", re.compile(rf"{expected:%H:%M:%S} GMT\+9|{expected:%H:%M:%S} JST"))


def test_a_schedule_says_while_one_types_when_it_runs(page):
    page.goto(f"/schedules/new/?task={quote('demo.echo')}")
    page.get_by_label("Runs", exact=True).select_option("cron")
    expect(page.get_by_label("Every", exact=True)).to_be_hidden()
    page.get_by_label("Crontab").press_sequentially("0 6 * * 1-5", delay=30)
    preview = page.locator("#preview")
    expect(preview).to_contain_text("06:00")
    expect(preview.locator("li")).to_have_count(10)
    page.get_by_label("Crontab").fill("0 6 *")
    expect(preview).to_contain_text("has 3 fields and not five")
    page.get_by_label("Crontab").fill("0 6 * * *")
    page.get_by_role("button", name="Set the schedule").click()
    expect(page.get_by_role("heading", name="Next runs")).to_be_visible()
    page.get_by_text("Pause…").click()
    page.get_by_label("Why, for those who wonder").fill("rain")
    page.get_by_role("button", name="Pause", exact=True).click()
    expect(page.get_by_text("Paused by grace")).to_contain_text("rain")


def test_the_catalogue_is_searched_while_one_types(page):
    page.goto("/tasks/")
    page.keyboard.press("/")
    expect(page.get_by_label("Search")).to_be_focused()
    page.keyboard.type("demo.ech")
    expect(page.get_by_role("link", name="Launch Echo")).to_be_visible()
    expect(page.get_by_role("link", name="Launch Add")).to_be_hidden()


def test_the_list_of_jobs_goes_by_keys(page):
    now = timezone.now()
    for n in range(3):
        Job.objects.create(
            pk=f"job-{n}", task="demo.echo", state=State.FAILED, finished_at=now, created_at=now - timedelta(minutes=n)
        )
    page.goto("/jobs/")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("next row")
    page.keyboard.press("Escape")
    for key in "jjk":
        page.keyboard.press(key)
    expect(page.locator("tr.marked .job-link")).to_be_focused()
    refreshed(page, "jobs")
    expect(page.locator("tr.marked .job-link")).to_be_focused()
    page.keyboard.press("/")
    expect(page.get_by_label("Search")).to_be_focused()
    page.keyboard.press("Tab")
    page.locator("h1").click()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/jobs/job-1/")
    page.goto("/jobs/")
    page.locator("tbody tr").nth(2).locator("td").last.click()
    page.wait_for_url("**/jobs/job-2/")

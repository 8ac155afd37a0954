"""Many jobs at once, and progress in the admin, in a real browser with real workers."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask
from playwright.sync_api import expect

from jobroom.jobs import bulk, launches
from jobroom.jobs.models import Job, Source, State
from jobroom.schedules import services
from jobroom.testing.processes import Recorder, Worker, running
from tests.browser.conftest import DESKTOP, PHONE

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.timeout(360)]


@pytest.fixture
def engine(site):
    with running(Recorder(), Worker()):
        yield


def waiting(count: int) -> None:
    """Fill the database with jobs that wait."""
    now = timezone.now() - timedelta(minutes=1)
    owner = User.objects.get(username="grace")
    Job.objects.bulk_create(
        Job(pk=f"job-{n:03}", task="demo.wait", queue="nowhere", owner=owner, created_at=now, queued_at=now)
        for n in range(count)
    )


def test_ticked_jobs_are_cancelled_after_a_question(page):
    waiting(4)
    Job.objects.filter(pk="job-000").update(state=State.SUCCEEDED)
    page.goto("/jobs/?task=demo.wait")
    page.get_by_label("This page").check()
    expect(page.locator("[data-bulk-number]")).to_have_text("4 ticked")
    page.locator("#tick-1").uncheck()
    expect(page.locator("[data-bulk-number]")).to_have_text("3 ticked")
    page.locator("h1").click()  # nothing is taken from under someone's hands
    expect(page.locator("html[data-live=on]")).to_be_attached()
    news = Job.objects.get(pk="job-003")
    news.label = "news"
    news.save()
    expect(page.get_by_text("news")).to_be_visible()  # the list was fetched again, the ticks stay
    expect(page.locator("[data-bulk-number]")).to_have_text("3 ticked")
    page.get_by_role("button", name="Cancel…").click()
    expect(page.get_by_role("heading", name="Cancel 2 jobs?")).to_be_visible()
    expect(page.get_by_text("1 job · It has ended already: succeeded.")).to_be_visible()
    page.get_by_role("button", name="Yes, cancel 2 jobs").click()
    expect(page.get_by_text("2 jobs asked to stop.")).to_be_visible()
    assert "task=demo.wait" in page.url
    assert set(Job.objects.exclude(cancel_by="").values_list("pk", flat=True)) == {"job-001", "job-002"}


def test_very_many_are_dealt_with_by_a_job_that_one_can_watch(page, engine):
    waiting(bulk.AT_ONCE + 20)
    page.goto("/jobs/?state=queued")
    page.get_by_label(f"All {bulk.AT_ONCE + 20} that match").check()
    page.get_by_role("button", name="Cancel…").click()
    page.get_by_role("button", name="Yes, cancel").click()
    expect(page).to_have_url(re.compile(r"/jobs/[0-9a-f-]{36}/"))
    expect(page.locator(".heading .state-succeeded")).to_be_visible()
    expect(page.get_by_role("region", name="Result").get_by_role("definition").first).to_have_text("120")
    page.goto("/jobs/?state=cancelled")
    expect(page.get_by_text("All 120 that match")).to_be_visible()


def test_both_pages_fit_a_phone(page):
    waiting(2)
    for size in (PHONE, DESKTOP):
        page.set_viewport_size(size)
        page.goto("/jobs/?tag=" + "a-long-tag-" * 4 + "&queue=nowhere")
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        page.goto("/jobs/")
        page.get_by_label("All 2 that match").check()
        page.get_by_role("button", name="Cancel…").click()
        expect(page.get_by_role("heading", name="Cancel 2 jobs?")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]


def moves(page, region) -> None:
    """Wait until the bar in the region has moved, without a reload."""
    page.evaluate("window.untouched = true")
    bar = page.locator(f"{region} [data-progress]").first
    expect(bar).not_to_have_js_property("value", bar.evaluate("bar => bar.value"))
    assert page.evaluate("window.untouched"), "the page was loaded again"


def test_progress_moves_in_the_admin(page, engine):
    every = IntervalSchedule.objects.create(every=1, period="days")
    row = PeriodicTask.objects.create(
        name="Slow", task="demo.progress", interval=every, kwargs='{"secs": 600, "steps": 6000}'
    )
    job = services.run_now(row)
    page.goto("/admin/jobroom_jobs/job/")
    expect(page.locator("[data-progress]").first).to_be_attached()
    page.goto(f"/admin/jobroom_jobs/job/{job}/change/")
    moves(page, "#job-live")
    for path in ("/admin/django_celery_beat/periodictask/", f"/admin/django_celery_beat/periodictask/{row.pk}/change/"):
        page.goto(path)
        moves(page, f"#schedule-{row.pk}")
    page.goto("/admin/jobroom_jobs/job/")
    moves(page, "#jobs-live")
    owner = User.objects.get(username="grace")
    launches.launch(task="demo.echo", arguments={"text": "again"}, by=owner, source=Source.PAGE)
    expect(page.locator("#jobs-live").get_by_text("demo.echo")).to_be_visible()

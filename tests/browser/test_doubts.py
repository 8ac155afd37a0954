"""What made a person stop or doubt: ends, schedules, numbers, cancels, wrong answers, uploads and dead ends."""

import re
from datetime import timedelta
from typing import Annotated

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils import timezone
from django_celery_beat.models import PeriodicTask
from playwright.sync_api import expect

from jobroom.arguments import Argument, File
from jobroom.jobs.models import Job, LogLine, State, StoredFile, TaskRule
from jobroom.testing.tasks import made_task
from jobroom.workflows.tests.stored import chain, store

pytestmark = [pytest.mark.browser, pytest.mark.django_db, pytest.mark.timeout(480)]


def job(pk, owner, **fields):
    now = timezone.now()
    values = {"task": "demo.echo", "state": State.RUNNING, "queued_at": now, "started_at": now, **fields}
    return Job.objects.create(pk=pk, owner=owner, **values)


def form_of(pages, client, address, **changes):
    """Return the answers in the form of a page as a browser would send them, with changes."""
    page = pages.show(client, address)
    found = page.evaluate(
        "Object.fromEntries([...new FormData(document.querySelector('form.launch'))].filter(([, value]) => typeof value === 'string'))"
    )
    return {**found, **changes}


def test_an_expected_end_is_a_range_from_the_history_or_nothing(pages, client, grace):
    now = timezone.now()
    running = {"execution": "x", "started_at": now - timedelta(seconds=10)}
    job("alone", grace, task="demo.wait", progress={"execution": "x", "fraction": 0.1}, **running)
    page = pages.show(client, "/jobs/alone/")
    expect(page.locator(".progress-box")).not_to_contain_text("left")
    for n, seconds in enumerate((100, 104, 106, 110, 130)):
        begin = now - timedelta(hours=1)
        ends = {"started_at": begin, "finished_at": begin + timedelta(seconds=seconds)}
        job(f"old{n}", grace, task="demo.progress", state=State.SUCCEEDED, **ends)
    # The first steps went fast: at their pace it would end in two seconds.
    job("now", grace, task="demo.progress", progress={"execution": "x", "fraction": 0.83}, **running)
    page = pages.show(client, "/jobs/now/")
    said = page.locator(".progress-box").inner_text()
    found = [60 * int(m or 0) + int(s) for m, s in re.findall(r"(?:(\d+) min )?(\d+) s", said)]
    assert found, said
    assert 10 < min(found) <= max(found) < 120, said


def test_people_who_may_launch_have_pages_for_their_schedules(pages, grace):
    group = Group.objects.create(name="makers")
    bob = User.objects.create_user("bob", password="builder-of-things")
    bob.groups.add(group)
    TaskRule.objects.create(task="demo.echo").launch.add(group)
    client = Client()
    client.force_login(bob)
    address = "/schedules/new/?task=demo.echo"
    changes = {"schedule-name": "Mine", "schedule-kind": "cron", "schedule-cron": "0 6 * * *"}
    got = pages.fetched(client, address, form_of(pages, client, address, **changes))
    assert got.status_code == 303, got.content.decode()
    row = PeriodicTask.objects.get(task="demo.echo")
    page = pages.show(client, "/schedules/")
    expect(page.get_by_role("link", name=row.name)).to_have_attribute("href", f"/schedules/{row.pk}/")
    page = pages.show(client, f"/schedules/{row.pk}/")
    expect(page.get_by_text("Pause…")).to_be_visible()
    expect(page.get_by_text("Delete…")).to_be_visible()
    assert page.locator("a[href^='/admin/']").count() == 0
    carol = Client()
    carol.force_login(User.objects.create_user("carol", password="builder-of-things"))
    assert carol.get(f"/schedules/{row.pk}/").status_code == 404


def test_a_workflows_numbers_are_the_same_in_its_list_and_on_its_page(pages, client):
    stored = store(chain(8), "sssfbbbb", state="FAILURE")
    page = pages.show(client, "/workflows/")
    row = page.locator(".workflow-rows tbody tr")
    expect(row).to_contain_text(re.compile(r"\d+ of 8"))
    counted = re.search(r"(\d+) of 8", row.inner_text()).group()
    page = pages.show(client, f"/workflows/{stored.pk}/")
    expect(page.locator(".rollup-line")).to_contain_text(counted)
    expect(page.locator(".rollup-line strong").first).not_to_have_text("100%")
    expect(page.locator(".rollup-line strong").first).to_have_text(re.compile(r"^3[78]%$"))


def test_every_row_says_which_time_it_shows(pages, client, grace):
    launched = timezone.now() - timedelta(days=2)
    ended = timezone.now() - timedelta(minutes=3)
    job("retried", grace, state=State.FAILED, started_at=ended, finished_at=ended, created_at=launched)
    job("later", grace, state=State.SCHEDULED, started_at=None, run_after=timezone.now() + timedelta(hours=3))
    page = pages.show(client, "/jobs/")
    expect(page.locator("tbody tr", has_text="Failed")).to_contain_text("ended 3 min")
    expect(page.locator("tbody tr", has_text="Scheduled")).to_contain_text("in 2 h 59 min")


def test_a_cancel_that_was_asked_for_is_seen_at_once(pages, client, grace):
    job("j", grace, cancel_by="grace", cancel_at=timezone.now())
    page = pages.show(client, "/jobs/j/")
    expect(page.locator("h1 + .state")).to_have_text("Cancelling")
    expect(page.get_by_role("button", name="Cancel")).to_be_disabled()
    expect(page.get_by_text("Asked to stop")).to_contain_text("grace")
    page = pages.show(client, "/jobs/")
    expect(page.locator(".state-cell")).to_contain_text("Cancelling")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"groups": "zzz"}, "Groups"),
        ({"count": "11"}, "Count"),
        ({"word": ""}, "Word"),
        ({"ticket": "no-uuid"}, "Ticket"),
        ({"vessel": "bucket"}, "Vessel"),
    ],
)
def test_wrong_answers_name_their_field_and_what_to_do(pages, client, given, sentence):
    got = pages.fetched(client, "/tasks/demo.every_field/", form_of(pages, client, "/tasks/demo.every_field/", **given))
    assert got.status_code == 422
    pages.page.goto("/tasks/demo.every_field/")
    summary = pages.page.locator(".error-box").first
    expect(summary).to_contain_text(sentence)
    for foreign in ("validation error", "Input should", "type=", "pydantic"):
        expect(pages.page.locator("main")).not_to_contain_text(foreign)
    assert not Job.objects.exists()


def test_only_files_that_the_field_accepts_are_offered_and_each_is_known_by_size_and_date(pages, client, grace):
    def read(table: Annotated[File, Argument(suffixes=(".csv",))]) -> None: ...

    for name, size in (("same.csv", 10_000), ("same.csv", 250_000), ("picture.png", 10)):
        StoredFile.objects.create(name=name, size=size, owner=grace)
    with made_task(read) as task:
        page = pages.show(client, f"/tasks/{task.name}/")
    offered = [text for text in page.locator("select[name$='-stored'] option").all_inner_texts() if "·" in text]
    assert len(offered) == len(set(offered)) == 2
    assert all(re.fullmatch(r"same\.csv · [\d.]+\s(KB|bytes) · \d{4}-\d\d-\d\d \d\d:\d\d", text) for text in offered)


def test_the_levels_of_a_log_leave_the_page_where_it_is(pages, client, grace):
    job("j", grace)
    LogLine.objects.bulk_create(
        LogLine(id=n + 1, job_id="j", at=timezone.now(), level="info" if n else "warning", message=f"line {n}")
        for n in range(80)
    )
    page = pages.show(client, "/jobs/j/")
    assert all("#" in link for link in page.locator(".levels a").evaluate_all("all => all.map(one => one.href)"))
    pages.fetched(client, "/jobs/j/?level=warning")
    page.locator(".log").scroll_into_view_if_needed()
    page.get_by_role("link", name="warning and worse").click()
    expect(page.locator(".log li")).to_have_count(1)
    expect(page.locator(".log")).to_be_in_viewport()


@pytest.mark.parametrize(("path", "status"), [("/logout/", 405), ("/nothing/here/", 404), ("/jobs/?before=zzz", 400)])
def test_no_page_is_a_dead_end(pages, client, path, status):
    assert pages.fetched(client, path).status_code == status
    pages.page.goto(path)
    expect(pages.page.locator("h1")).not_to_be_empty()
    assert pages.page.locator("main a").count() > 0
    assert len(pages.page.locator("main").inner_text()) > 60


def test_rows_of_lists_are_one_line_high_on_a_desk(pages, client, grace):
    words = "a long sentence " * 20
    job("a", grace, label=words, progress={"execution": "x", "fraction": 0.4, "message": words}, execution="x")
    job("b", grace, state=State.FAILED, label="scan.ply", error=words, finished_at=timezone.now())
    job("c", grace, state=State.QUEUED, label=words, queue="heavy", started_at=None)
    for path in ("/jobs/", "/"):
        page = pages.show(client, path)
        heights = page.locator(".job-rows tbody tr").evaluate_all(
            "all => all.map(row => row.getBoundingClientRect().height)"
        )
        assert heights, path
        assert max(heights) < 46, (path, heights)
        expect(page.locator(".job-rows tr", has_text="scan.ply").first).to_be_visible()


def test_the_form_of_alerts_asks_what_the_choice_needs(pages, client):
    page = pages.show(client, "/alerts/")
    expect(page.get_by_label("Task", exact=True)).to_have_attribute("list", "tasks")
    expect(page.get_by_label("From so many jobs, or seconds")).to_be_hidden()
    expect(page.get_by_label("Address")).to_be_hidden()
    page.get_by_label("When").select_option("depth")
    expect(page.get_by_label("Queue", exact=True)).to_have_attribute("list", "queues")
    expect(page.get_by_label("From so many jobs, or seconds")).to_be_visible()
    page.get_by_label("Sent by").select_option("webhook")
    expect(page.get_by_label("Address")).to_be_visible()

"""A job does not start: its own page says why, one click leads to where that is mended, and mended it starts. With real workers.

Each page is opened before its reason arises, and not loaded again: what it says comes to it.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from celery import current_app
from django.contrib.staticfiles import finders
from playwright.sync_api import Locator, Page, Route, expect

from jobroom import redis
from jobroom.celery import task_limits
from jobroom.events import heartbeat
from jobroom.jobs.models import Job, State
from jobroom.testing import wait_until
from jobroom.testing.processes import Process, Recorder, Worker, running
from tests.browser.conftest import _answers, print_of_failed

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.timeout(480)]

APP = "tests.browser.waiting_app"
# A page with an open socket looks again by itself now and then; one that does not shows what was pushed, and nothing else.
LOOKS, LOOKS_NEVER = "const LIVE_PAUSE = 30;", "const LIVE_PAUSE = 1e9;"


@pytest.fixture
def env(address) -> dict[str, str]:
    """Return the environment of all processes, so that they are forked from one warm Django."""
    return {"DJANGO_SETTINGS_MODULE": "tests.browser.waiting_settings", "SITE_URL": address}


@pytest.fixture
def site(transactional_db, address, env, request) -> Iterator[str]:
    """Return the address of the server, with these settings, and a recorder beside it."""
    redis.client().flushdb()
    port = address.rpartition(":")[2]
    argv = [sys.executable, "-m", "uvicorn", "image.asgi:application", "--port", port, "--no-access-log"]
    with running(web := Process("web", argv, env), Recorder(env=env)):
        wait_until(lambda: _answers(address), 60, "the server answers")
        yield address
        print_of_failed(request, web)


@pytest.fixture
def page(page: Page) -> Page:
    """Return the page of someone who may everything, which does not look again by itself while its socket is open."""

    # From its file: what is fetched for the page may break off, and a page without this script waits for it, and is never loaded.
    script = Path(str(finders.find("jobroom/js/main.js"))).read_text()
    assert LOOKS in script

    def without_looking(route: Route) -> None:
        route.fulfill(body=script.replace(LOOKS, LOOKS_NEVER), content_type="text/javascript")

    page.route("**/js/main*.js", without_looking)
    return page


def send(task: str, *args: object, queue: str = "default", person: str = "") -> str:
    headers = {task_limits.PERSON: person} if person else {}
    return str(current_app.send_task(f"waits: {task}", args, queue=queue, headers=headers).id)


def state_of(job: str) -> str | None:
    return Job.objects.filter(pk=job).values_list("state", flat=True).first()


def opened(page: Page, job: str) -> None:
    """Open the page of a job once the history has it: until then there is none, which the browser's console calls an error."""
    wait_until(lambda: state_of(job) is not None, 60, "it is in the history")
    page.goto(f"/jobs/{job}/")


def shown(page: Page, job: str) -> Locator:
    """Open the page of a job, with its socket, and return where it says why it waits."""
    opened(page, job)
    expect(page.locator("html")).to_have_attribute("data-live", "on")
    page.evaluate("window.untouched = true")
    return page.locator("#why-waiting")


def is_said(page: Page, reason: Locator, *words: str) -> None:
    """Wait until the open page names the cause and its culprit, with one way to mend it."""
    for text in words:
        expect(reason).to_contain_text(text)
    expect(reason.get_by_role("link")).to_have_count(1)
    assert page.evaluate("window.untouched"), "the page was loaded again"


def starts(page: Page, job: str) -> None:
    """See on its page that the job has started."""
    opened(page, job)
    expect(page.locator(".heading .state-running, .heading .state-succeeded")).to_be_visible()
    expect(page.locator("#why-waiting")).to_have_count(0)


@contextmanager
def standing(worker: Worker) -> Iterator[None]:
    """Let a worker stand still inside the block."""
    os.killpg(worker.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(worker.pid, signal.SIGCONT)


def last_seen(name: str) -> heartbeat.Worker:
    return next(worker for worker in heartbeat.workers() if worker.name == name)


def enough(*words: str) -> None:
    redis.client().sadd("enough", *words)


def test_a_queue_without_a_worker_and_paused_ones(page, env):
    enough("it")
    with running(Worker(app=APP, name="spare", env=env)):
        job = send("work", "it", queue="heavy")
        reason = shown(page, job)
        is_said(page, reason, "No worker serves the queue heavy; this job has waited since")
        reason.get_by_role("link", name="Give the queue a worker").click()
        form = page.locator("form", has=page.get_by_role("button", name="Let it take this queue"))
        form.get_by_role("combobox").select_option("spare@test")
        form.get_by_role("button").click()
        expect(page.get_by_text("was asked to consume the queue heavy")).to_be_visible()
        starts(page, job)

        for kind, name in (("queue", "default"), ("task", "waits: work")):
            page.goto("/queues/")
            form = page.locator("form", has=page.get_by_role("button", name="Pause", exact=True))
            form.get_by_label("What").select_option(kind)
            form.get_by_label("Name").fill(name)
            form.get_by_label("Why").fill("the press is cleaned")
            form.get_by_role("button", name="Pause").click()
            expect(page.get_by_text(f"{name} is paused").first).to_be_visible()
            job = send("work", "it")
            reason = shown(page, job)
            is_said(page, reason, f"The {kind} {name} is paused by grace since", ": the press is cleaned")
            reason.get_by_role("link", name=f"Resume the {kind}").click()
            page.get_by_role("button", name="Resume").first.click()
            # What is sent is only on its way, and would be given up by going elsewhere.
            expect(page.get_by_text(f"The {kind} {name} is resumed")).to_be_visible()
            starts(page, job)


def test_a_lock_that_is_held_a_limit_that_is_reached_and_the_turn_of_others(page, env):
    with running(
        Worker(app=APP, name="both", concurrency=4, env=env),
        one := Worker(app=APP, name="one", queues="ml", concurrency=1, env=env),
    ):
        holder = send("alone", "plate", 1)
        wait_until(lambda: state_of(holder) == State.RUNNING, 60, "the first has the lock")
        job = send("alone", "plate", 2)
        reason = shown(page, job)
        is_said(page, reason, f"It waits for the lock press-plate, held by waits: alone ({holder[:8]}) since")
        reason.get_by_role("link", name="Free the lock").click()
        row = page.locator(".worker", has=page.get_by_role("heading", name="press-plate"))
        row.get_by_role("button", name="Cancel").click()
        expect(page.get_by_text("Asked to stop")).to_be_visible()
        starts(page, job)

        holder = send("few", "first")
        wait_until(lambda: state_of(holder) == State.RUNNING, 60, "the first has the place")
        job = send("few", "second")
        reason = shown(page, job)
        is_said(page, reason, "Limit reached: 1 of 1 running", f"the place is held by waits: few ({holder[:8]}) since")
        reason.get_by_role("link", name="Free a place").click()
        row = page.locator(".worker", has=page.get_by_role("heading", name="waits: few"))
        row.get_by_role("button", name="Cancel").click()
        expect(page.get_by_text("Asked to stop")).to_be_visible()
        starts(page, job)
        enough("second")

        with standing(one):  # it gives places when it takes a message, to those that are there by then
            for number in range(3):
                for person in ("Ada", "Bob"):
                    send("work", f"{person} {number}", queue="ml", person=person)
        wait_until(lambda: sum(len(group.holders) for group in task_limits.groups()) == 2, 60, "two have a place")
        enough("mine")
        job = send("work", "mine", queue="ml", person="Cy")
        reason = shown(page, job)
        is_said(page, reason, "Each person has a turn on the queue ml: 2 before it, 2 of 2 other people", "Ada", "Bob")
        reason.get_by_role("link", name="Let it be the next").click()
        page.get_by_role("button", name="Let it be the next").click()
        expect(page.get_by_text("waits here: it is the next.")).to_be_visible()
        row = page.locator(".worker", has=page.get_by_role("heading", name="Fair queue ml"))
        (fair,) = [group for group in task_limits.groups() if len(group.holders) == 2]
        for holder in list(fair.holders):  # each once: the first is still there while it is being ended
            page.evaluate("window.before = true")
            row.locator(f"form[action='/jobs/{holder}/cancel/']").get_by_role("button").click()
            page.wait_for_function("() => !window.before")  # else the next click would be on the page that goes away
        starts(page, job)


def test_a_worker_that_is_silent(page, env):
    enough("it")
    with running(
        doomed := Worker(app=APP, name="doomed", queues="heavy", env=env), Worker(app=APP, name="spare", env=env)
    ):
        job = send("work", "it", queue="heavy")
        starts(page, job)
        with standing(doomed):
            # What it has asked the broker for ends after a second; a message that comes before is given to it.
            wait_until(lambda: last_seen("doomed@test").silent > 3, 60, "it asks for nothing more")
            job = send("work", "it", queue="heavy")
            reason = shown(page, job)
            is_said(page, reason, "The worker doomed@test, the only one of the queue heavy, has been silent since")
            reason.get_by_role("link", name="Replace the worker").click()
            row = page.locator(".worker", has=page.get_by_role("heading", name="doomed@test"))
            row.get_by_label("Its queues go to").select_option("spare@test")
            row.get_by_role("button", name="Hand over").click()
            expect(page.get_by_text("was asked to consume the queue heavy")).to_be_visible()
            starts(page, job)
        wait_until(lambda: last_seen("doomed@test").alive, 60, "it is back")

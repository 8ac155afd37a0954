"""Pages where there is little room, or a bad connection: labels meet no other, nothing typed or chosen is lost, and nothing old looks new."""

import itertools
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from jobroom.jobs.models import Job
from jobroom.workflows.models import StoredWorkflow
from jobroom.workflows.tests.stored import chain, store
from tests.browser.conftest import DESKTOP, PHONE

pytestmark = [pytest.mark.browser, pytest.mark.django_db, pytest.mark.timeout(480)]

NARROW = {"width": 320, "height": 640}
# The labels of the axis that are seen, from left to right: where each begins and ends.
LABELS = """[...document.querySelectorAll('.gantt-ticks text')].filter((one) => one.getClientRects().length)
    .map((one) => one.getBoundingClientRect()).map((box) => [box.left, box.right])"""
BARS = "[...document.querySelectorAll('.gantt-bar')].map((one) => one.getBoundingClientRect()).map((box) => [box.left, box.width])"


@pytest.mark.parametrize("hours", [0.01, 3.99])
def test_labels_of_the_time_axis_meet_no_other(pages, client, hours):
    stored = store(chain(4), "ssss", state="SUCCESS", name="long")
    now, whole = timezone.now(), timedelta(hours=hours)
    Job.objects.filter(node="0").update(queued_at=now - whole, started_at=now - whole, finished_at=now - whole / 2)
    StoredWorkflow.objects.filter(pk=stored.pk).update(started_at=now - whole, finished_at=now)
    for window in (NARROW, PHONE, {"width": 800, "height": 900}, DESKTOP):
        pages.page.set_viewport_size(window)
        page = pages.show(client, f"/workflows/{stored.pk}/?tab=timeline")
        expect(page.locator(".gantt-bar")).to_have_count(4)
        labels = page.evaluate(LABELS)
        assert len(labels) >= 2
        assert all(end + 4 <= begin for (_, end), (begin, _) in itertools.pairwise(labels)), labels
        assert labels[-1][1] <= window["width"]
        assert len({tuple(bar) for bar in page.evaluate(BARS)}) == 1, "all bars have one scale"
        assert page.evaluate("document.documentElement.scrollWidth") <= window["width"]


MESH = {"name": "chair.ply", "mimeType": "application/octet-stream", "buffer": b"ply\n" + b"x" * 300_000}


def test_a_mesh_is_uploaded_with_its_progress_and_a_broken_connection_loses_nothing(pages, client):
    page = pages.show(client, "/assets/")
    page.set_viewport_size(PHONE)
    chosen = page.locator(".upload input[type=file]")
    send, status = page.get_by_role("button", name="Upload", exact=True), page.locator("[data-sending] [role=status]")
    expect(page.locator("[data-sending]")).to_be_hidden()
    chosen.set_input_files(MESH)
    page.context.set_offline(True)
    send.click()
    expect(status).to_contain_text("The connection broke off")
    assert chosen.evaluate("(input) => input.files[0].name") == "chair.ply"
    expect(send).to_be_enabled()
    page.context.set_offline(False)
    pages.answers["/assets/"] = (422, '{"errors": ["Mesh: The file is empty. Export it again."]}', "application/json")
    send.click()
    expect(page.get_by_role("alert")).to_have_text("Mesh: The file is empty. Export it again.")
    pages.answers["/assets/"] = (201, '{"to": "/assets/7/"}', "application/json")
    send.click()
    page.wait_for_url("**/assets/7/")


def test_an_upload_says_how_far_it_is_and_can_be_stopped(pages, client):
    page = pages.show(client, "/assets/")
    devtools = page.context.new_cdp_session(page)
    slow = {"offline": False, "latency": 50, "downloadThroughput": 1_000_000, "uploadThroughput": 10_000}
    page.locator(".upload input[type=file]").set_input_files({**MESH, "buffer": b"ply\n" + b"x" * 3_000_000})
    devtools.send("Network.enable")
    devtools.send("Network.emulateNetworkConditions", slow)
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.locator("[data-sending] [role=status]")).to_contain_text(" of 2.9 MB")
    expect(page.get_by_role("button", name="Upload", exact=True)).to_be_disabled()
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("[data-sending] [role=status]")).to_have_text("Stopped. The file is still chosen.")
    expect(page.get_by_role("button", name="Upload", exact=True)).to_be_enabled()


def test_a_preview_of_what_was_typed_before_looks_old_and_comes_back_with_the_connection(pages, client):
    answer = "/schedules/preview/"
    daily = client.get(f"{answer}?schedule-kind=cron&schedule-cron=0+6+*+*+*").content
    pages.answers[answer] = (200, daily, "text/html; charset=utf-8")
    page = pages.show(client, "/schedules/new/?task=demo.echo")
    preview = page.locator("#preview")
    expect(preview.locator("li")).to_have_count(10)
    expect(preview).not_to_have_attribute("aria-busy", "true")
    page.get_by_label("Runs", exact=True).select_option("cron")
    # What is typed is not what the ten runs are of, until the answer is there.
    page.evaluate("() => { window.fetchNow = window.fetch; window.fetch = () => new Promise(() => {}) }")
    page.get_by_label("Crontab").fill("0 7 * * *")
    expect(preview).to_have_attribute("aria-busy", "true")
    page.evaluate("() => { window.fetch = () => Promise.reject(new TypeError('no network')) }")
    page.get_by_label("Crontab").fill("0 8 * * *")
    expect(preview).to_contain_text("The server does not answer.")
    expect(preview.locator("li")).to_have_count(0)
    page.evaluate("() => { window.fetch = window.fetchNow; window.dispatchEvent(new Event('online')) }")
    expect(preview.locator("li")).to_have_count(10)
    expect(page.get_by_label("Crontab")).to_have_value("0 8 * * *")

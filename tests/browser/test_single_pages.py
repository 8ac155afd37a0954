"""What single pages do by their scripts: lists, results, meshes, logs, and the folded part of the launch form."""

from datetime import timedelta

import pytest
import trimesh
from django.utils import timezone
from PIL import Image
from playwright.sync_api import expect

from jobroom.jobs.models import Job, LogLine, State, StoredFile
from tests.browser.conftest import PHONE

pytestmark = [pytest.mark.browser, pytest.mark.django_db, pytest.mark.timeout(480)]


def ended(pk, owner, **fields):
    now = timezone.now()
    values = {"task": "demo.echo", "state": State.SUCCEEDED, "queued_at": now, "started_at": now, "finished_at": now}
    return Job.objects.create(pk=pk, owner=owner, **{**values, **fields})


def test_the_first_row_is_near_the_top_and_heads_sort(pages, client, grace):
    for n in range(3):
        ended(f"j{n}", grace, started_at=timezone.now() - timedelta(minutes=n), label=f"row {n}")
    page = pages.show(client, "/jobs/")
    assert page.locator("#jobs tbody tr").first.bounding_box()["y"] < 250
    expect(page.get_by_role("link", name="Took")).to_have_attribute("href", "?sort=-took")
    page = pages.show(client, "/jobs/?sort=-took")
    expect(page.locator("tbody .job-cell").first).to_contain_text("row 2")
    expect(page.get_by_role("columnheader", name="Took")).to_have_attribute("aria-sort", "descending")


def test_on_a_phone_the_first_row_is_near_the_top_and_each_is_two_lines(pages, client, grace):
    ended("plain", grace, label="a long label " * 9)
    ended("bad", grace, task="Process asset", label="scan.ply", state=State.FAILED, error="The file is damaged. " * 9)
    ended(
        "now",
        grace,
        state=State.RUNNING,
        execution="x",
        progress={"execution": "x", "fraction": 0.4, "message": "Row 4"},
    )
    ended("one", grace, answer_of="plain", facts={"answered": {"batch": True}})
    ended("old", grace, state=State.SKIPPED, result="demo.echo superseded by job plain")
    pages.page.set_viewport_size(PHONE)
    for query in ("", "?task=demo.echo"):
        page = pages.show(client, f"/jobs/{query}")
        boxes = [row.bounding_box() for row in page.locator("#jobs tbody tr").all()]
        assert boxes[0]["y"] < 250
        assert max(box["height"] for box in boxes) < 70
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        ticks = [tick.bounding_box() for tick in page.locator("#jobs .pick input").all()]
        assert min(min(box["width"], box["height"]) for box in ticks) >= 24, "too small for a finger"
        assert page.get_by_text("Filters").bounding_box()["width"] < 110, "the search has the room"
    expect(page.get_by_text("In a batch")).to_be_visible()
    expect(page.get_by_text("Superseded")).to_be_visible()
    expect(page.get_by_label("Launched in")).to_be_hidden()
    page.get_by_text("Filters · 1").click()
    expect(page.get_by_label("Launched in")).to_be_visible()
    expect(page.get_by_role("link", name="Clear")).to_be_visible()


def test_a_view_is_kept_by_its_name(pages, client):
    page = pages.show(client, "/jobs/?state=failed")
    page.get_by_text("Keep this view…").click()
    expect(page.get_by_label("Name")).to_be_visible()


@pytest.mark.parametrize("kind", ["glb", "stl", "ply", "obj"])
def test_a_mesh_is_shown_in_3d_under_the_policy_of_our_pages(pages, client, grace, kind):
    ended("j", grace)
    file = StoredFile.objects.create(name=f"box.{kind}", size=9, job_id="j", owner=grace)
    box = trimesh.creation.box()
    if kind == "glb":  # with a picture on it: textures must not need what the policy forbids
        picture = trimesh.visual.texture.SimpleMaterial(image=Image.new("RGB", (4, 4), "red"))
        box.visual = trimesh.visual.TextureVisuals(uv=[[0, 0]] * len(box.vertices), material=picture)
    content = box.export(file_type=kind)
    pages.answers[f"/files/{file.pk}"] = (200, content, "application/octet-stream")
    page = pages.show(client, "/jobs/j/")
    troubles = []
    page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    assert page.evaluate("performance.getEntriesByType('resource').every((one) => !one.name.includes('three'))")
    page.get_by_role("button", name=f"Show box.{kind} in 3D").click()
    expect(page.locator("canvas[data-shown]")).to_be_visible()
    canvas = page.locator("canvas")
    canvas.focus()
    before = canvas.screenshot()
    page.keyboard.press("ArrowLeft")
    assert canvas.screenshot() != before, "nothing is drawn, or it does not turn"
    assert not [one for one in troubles if "WebSocket" not in one and "ERR_" not in one]


def test_a_log_is_searched_wrapped_and_followed(pages, client, grace):
    job = ended("j", grace)
    for n in range(60):
        LogLine.objects.create(
            id=n + 1, job=job, at=timezone.now(), message=f"row {n} " + "long " * (60 if n == 7 else 1)
        )
    page = pages.show(client, "/jobs/j/")
    page.get_by_label("Search the log").fill("row 7 ")
    expect(page.locator(".log li:not([hidden])")).to_have_count(1)
    expect(page.locator("[data-log-number]")).to_have_text("1 of 60 lines")
    page.get_by_role("button", name="Wrap").click()
    assert page.evaluate(
        "(() => { const log = document.querySelector('.log'); return log.scrollWidth > log.clientWidth })()"
    )
    page.get_by_label("Search the log").fill("")
    page.get_by_role("button", name="Follow").click()
    assert page.evaluate("(() => { const log = document.querySelector('.log'); return log.scrollTop > 0 })()")
    expect(page.get_by_role("link", name="Download the log")).to_have_attribute("href", "/jobs/j/log/")


def test_when_and_where_is_one_line_until_someone_opens_it(pages, client):
    preview = client.get("/schedules/preview/?schedule-kind=cron&schedule-cron=0+6+*+*+*").content
    pages.answers["/schedules/preview/"] = (200, preview, "text/html; charset=utf-8")
    page = pages.show(client, "/tasks/demo.echo/")
    line = page.locator("[data-when-line]")
    expect(line).to_have_text("now, in the queue default")
    expect(page.get_by_label("Note")).to_be_hidden()
    page.get_by_role("heading", name="When and where").click()
    page.get_by_label("When", exact=True).select_option("repeat")
    page.get_by_label("Schedule", exact=True).press_sequentially("0 6 * * *", delay=30)
    expect(page.locator("[data-next-runs] li")).to_have_count(3)
    expect(line).to_have_text("repeatedly: 0 6 * * *, in the queue default")


def test_a_change_of_state_is_said_and_an_error_has_the_focus(pages, client, grace):
    ended("j", grace, state=State.RUNNING, finished_at=None)
    page = pages.show(client, "/jobs/j/")
    Job.objects.update(state=State.SUCCEEDED, finished_at=timezone.now())
    pages.answers["/jobs/j/"] = (200, client.get("/jobs/j/").content, "text/html; charset=utf-8")
    page.evaluate(
        """import(document.querySelector('script[src*="main"]').src).then((main) => main.refreshNow("job"))"""
    )
    expect(page.locator("[data-said]")).to_contain_text("Echo succeeded")
    pages.fetched(client, "/tasks/demo.count_words/", {"text": ""})
    page.goto("/tasks/demo.count_words/")
    expect(page.get_by_text("To change before it can start")).to_be_focused()


def test_a_press_is_a_click_whatever_the_page_learns_meanwhile(pages, client, grace):
    ended("j", grace, state=State.RUNNING, finished_at=None)
    page = pages.show(client, "/jobs/j/")
    Job.objects.update(state=State.SUCCEEDED, finished_at=timezone.now())
    pages.answers["/jobs/j/"] = (200, client.get("/jobs/j/").content, "text/html; charset=utf-8")
    page.get_by_text("Note and tags…").hover()
    page.mouse.down()
    page.evaluate("document.querySelector('#job').before = true")
    for _ in range(2):
        with page.expect_response("**/jobs/j/"):
            page.evaluate(
                """import(document.querySelector('script[src*="main"]').src).then((main) => main.refreshNow("job"))"""
            )
    assert page.evaluate("document.querySelector('#job').before"), "it was taken from under the finger"
    page.mouse.up()
    expect(page.get_by_label("Note", exact=True)).to_be_visible()
    expect(page.locator("h1 + .state")).to_have_text("Succeeded")
    expect(page.get_by_label("Note", exact=True)).to_be_visible()

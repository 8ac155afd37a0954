"""The assets workflow in a real browser, on a real mesh: launched, watched, broken, and resumed where it broke."""

import os
from pathlib import Path

import pytest
import trimesh
from django.conf import settings
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from playwright.sync_api import expect

from assets import services
from jobroom.jobs.models import Job
from jobroom.testing import wait_until
from jobroom.testing.processes import Recorder, Worker, running
from jobroom.workflows.definitions import registry
from jobroom.workflows.models import StoredWorkflow
from tests.browser.conftest import DESKTOP, PHONE

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.timeout(800)]

PATIENCE = 180_000
SHARED = Path(settings.BASE_DIR).parent / "shared" / "data" / "meshes" / "bunny.ply"
# Where pictures go, if someone wants to look at them.
PICTURES = os.environ.get("IMAGE_TEST_PICTURES", "")


def mesh():
    """Return the bytes of the scan beside the checkout, of a ball where there is none."""
    if SHARED.exists():
        return SHARED.read_bytes()
    return trimesh.creation.icosphere(subdivisions=4).export(file_type="ply")


def runs(workflow_id):
    """Return of each node how often it ran and when it began last."""
    return {job.node: (job.attempts, job.started_at) for job in Job.objects.filter(workflow_id=workflow_id)}


def pictures(page, name):
    """Keep what the page looks like on a computer and a phone, light and dark."""
    if not PICTURES:
        return
    for size in (DESKTOP, PHONE):
        page.set_viewport_size(size)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.screenshot(path=f"{PICTURES}/{name}-{size['width']}-{scheme}.png", full_page=True)
    page.set_viewport_size(DESKTOP)
    page.emulate_media(color_scheme="light")


def test_the_assets_workflow_is_broken_and_resumed_where_it_broke(page):
    asset = services.add(upload=SimpleUploadedFile("bunny.ply", mesh()), owner=User.objects.get(username="grace"))
    registry.sync()
    with running(Worker(queues="default,heavy"), Recorder()):
        page.goto(f"/workflows/definitions/levels-of-detail/?asset={asset.pk}")
        for label, faces in (("Fine", 1000), ("Middle", 300), ("Coarse", 100)):
            page.get_by_label(label).fill(str(faces))
        pictures(page, "launch")
        page.get_by_role("button", name="Launch").click()
        expect(page.locator("a.node")).to_have_count(6)
        page.evaluate("window.untouched = true")
        expect(page.locator("#workflow-head .heading .state-succeeded")).to_be_visible(timeout=PATIENCE)
        expect(page.locator("a.node.state-succeeded")).to_have_count(6)
        assert page.evaluate("window.untouched"), "the page was loaded again"

        # One node with a file that fits its task, and of which the task finds that it holds no mesh.
        page.get_by_role("link", name="Run again…").click()
        page.get_by_text("With other arguments…").click()
        mesh_of_middle = page.get_by_role("group", name="Middle").get_by_label("Mesh")
        expect(mesh_of_middle).to_have_attribute("placeholder", "made of what “Repair” returns")
        mesh_of_middle.set_input_files(
            {"name": "bunny.ply", "mimeType": "model/ply", "buffer": b"ply, and then no mesh"}
        )
        page.get_by_role("button", name="Run again").click()
        node = page.locator("a.node", has_text="middle")
        expect(node).to_contain_text("Failed", timeout=PATIENCE)
        expect(page.locator("#workflow-head .heading .state-failed")).to_be_visible(timeout=PATIENCE)
        expect(page.locator("a.node", has_text="report")).to_contain_text("Blocked")
        node.click()
        expect(page.locator("#workflow-panel")).to_contain_text("The PLY file is damaged")
        pictures(page, "failed")
        workflow_id = page.url.split("/workflows/")[1].split("/")[0]
        wait_until(
            lambda: StoredWorkflow.objects.get(pk=workflow_id).node_states == "sssfsb", 90, "the database has it all"
        )
        before = runs(workflow_id)

        page.get_by_role("link", name="Resume…").click()
        expect(page.get_by_text("4 results are kept")).to_be_visible()
        if (more := page.locator("details#changes")).count() and not more.get_attribute("open"):
            more.locator("summary").click()
        page.get_by_role("group", name="Inputs of the workflow").get_by_label("Middle").fill("200")
        given = page.get_by_role("group", name="Middle").get_by_label("or one uploaded before")
        expect(given.locator("option:checked")).to_contain_text("bunny.ply")
        given.select_option("")
        pictures(page, "resume")
        page.get_by_role("button", name="Resume").click()
        expect(page.locator("#workflow-head .heading .state-succeeded")).to_be_visible(timeout=PATIENCE)
        expect(page.locator("a.node.state-succeeded")).to_have_count(6)
        pictures(page, "succeeded")
        wait_until(
            lambda: StoredWorkflow.objects.get(pk=workflow_id).node_states == "ssssss", 90, "the database has it all"
        )
    after = runs(workflow_id)
    nodes = {str(node.index): node.key for node in StoredWorkflow.objects.get(pk=workflow_id).read_graph().nodes}
    assert {nodes[name] for name in after if after[name] != before.get(name)} == {"middle", "report"}

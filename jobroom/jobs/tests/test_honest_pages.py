"""Pages say what was asked and when, offer only what fits, and help where nothing opens."""

from datetime import timedelta
from typing import Annotated

import pytest
from django.utils import timezone

from image.celery import app
from jobroom.arguments import Argument, File
from jobroom.jobs.forms import launch_form
from jobroom.jobs.models import Job, State, StoredFile

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def clean(empty_redis):
    return None


def running(ada) -> Job:
    now = timezone.now()
    return Job.objects.create(id="j1", task="demo.echo", state=State.RUNNING, owner=ada, started_at=now, created_at=now)


def test_a_job_that_is_asked_to_end_is_cancelling_in_one_box(as_ada, ada):
    running(ada)
    page = as_ada.post("/jobs/j1/cancel/", follow=True).content.decode()
    assert page.count("Asked to stop") == 1
    assert "Asked to stop by ada" in page
    assert "state-cancelling" in page
    assert 'disabled title="ada has asked to cancel it already."' in page
    assert "state-cancelling" in as_ada.get("/jobs/").content.decode()
    Job.objects.update(state=State.CANCELLED, finished_at=timezone.now())
    page = as_ada.get("/jobs/j1/").content.decode()
    assert "state-cancelling" not in page
    assert "Asked to stop" not in page


def test_asking_twice_is_one_wish(as_ada, ada):
    running(ada)
    for _ in range(2):
        assert as_ada.post("/jobs/j1/cancel/").status_code == 303
    assert Job.objects.get().cancel_by == "ada"


def test_a_scheduled_job_shows_its_day_and_the_input_names_its_zone(as_ada, as_staff, ada):
    at = timezone.now() + timedelta(days=3)
    Job.objects.create(id="j2", task="demo.echo", state=State.SCHEDULED, owner=ada, run_after=at)
    assert f"{at:%Y-%m-%d %H:%M}" in as_ada.get("/jobs/j2/").content.decode()
    page = as_staff.get("/tasks/demo.echo/").content.decode()
    assert f"In the time zone {timezone.get_current_timezone_name()}." in page
    assert f'data-zone="{timezone.get_current_timezone_name()}"' in page


def test_links_of_log_levels_lead_to_the_log(as_ada, ada):
    running(ada)
    page = as_ada.get("/jobs/j1/").content.decode()
    assert 'href="?#log"' in page
    assert 'href="?level=warning#log"' in page


@pytest.fixture
def mesh_task():
    @app.task(name="scratch.mesh", shared=False)
    def mesh(file: Annotated[File, Argument(suffixes=(".ply", ".stl"))]):
        return None

    yield mesh
    app.tasks.pop("scratch.mesh")


def test_files_uploaded_before_fit_the_field_and_are_distinguished(ada, mesh_task):
    def kept(name: str, sha256: str = "", hours: int = 0) -> StoredFile:
        at = timezone.now() - timedelta(hours=hours)
        return StoredFile.objects.create(name=name, size=2048, owner=ada, sha256=sha256, created_at=at)

    newest = kept("bunny.PLY", "aa")
    kept("bunny.PLY", "aa", 1)
    other = kept("bunny.PLY", "bb", 2)
    kept("notes.txt", "cc")
    widget = launch_form(mesh_task, ada).fields["file"].widget
    offered = widget.get_context("file", None, {})["stored"]
    assert [value for value, _, _ in offered] == [str(newest.pk), str(other.pk)]
    assert f"bunny.PLY · 2.0\xa0KB · {timezone.localtime(other.created_at):%Y-%m-%d %H:%M}" == offered[1][1]


@pytest.mark.parametrize("path", ["/logout/", "/jobs/j1/cancel/", "/account/end-all/"])
def test_the_address_of_a_button_helps_who_opens_it(as_ada, ada, path):
    running(ada)
    page = as_ada.get(path, headers={"accept": "text/html"})
    assert page.status_code == 405
    assert "POST" in page.headers["Allow"]
    assert b"Nothing was changed" in page.content
    assert b"Log out" in page.content


def test_programs_get_no_page_for_a_wrong_method(as_ada):
    answer = as_ada.get("/logout/", headers={"accept": "application/json"})
    assert (answer.status_code, answer.content) == (405, b"")

"""Times are shown, and read, in the zone that the person has chosen; it is named at inputs."""

import datetime
import re
from datetime import UTC, timedelta
from typing import Annotated

import pytest
from django.utils import timezone

from image.celery import app
from jobroom.arguments import Argument
from jobroom.jobs import time_zones
from jobroom.jobs.models import Job, LogLine, Profile, State

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("empty_redis")]
AT = datetime.datetime(2026, 1, 31, 22, 30, 5, tzinfo=UTC)


@pytest.fixture
def in_tokyo(as_staff):
    assert as_staff.post("/account/zone/", {"zone": "Asia/Tokyo"}, follow=True).status_code == 200
    return as_staff


def test_every_time_of_a_page_is_in_the_chosen_zone(in_tokyo, staff):
    job = Job.objects.create(pk="a", task="demo.echo", state=State.FAILED, created_at=AT, queued_at=AT, finished_at=AT)
    LogLine.objects.create(pk=1, job=job, at=AT, message="said")
    page = in_tokyo.get("/jobs/a/").content.decode()
    assert 'data-zone="Asia/Tokyo"' in page
    assert "2026-02-01 07:30:05" in page
    assert "07:30:05</time>" in page  # of the log
    assert "22:30:05" not in re.sub(r'datetime="[^"]*"', "", page)
    assert "2026-02-01 07:30:05 JST" in in_tokyo.get("/jobs/").content.decode()
    assert in_tokyo.get("/api/jobs/a/").json()["finished_at"][:16] in {"2026-01-31T22:30", "2026-02-01T07:30"}


def test_a_time_that_is_typed_is_of_the_chosen_zone(in_tokyo):
    wanted = timezone.now().astimezone(time_zones.zoneinfo.ZoneInfo("Asia/Tokyo")) + timedelta(days=2)
    page = in_tokyo.get("/tasks/demo.echo/").content.decode()
    assert "In the time zone Asia/Tokyo." in page
    answer = in_tokyo.post(
        "/tasks/demo.echo/", {"text": "x", "launch-when": "later", "launch-run_after": f"{wanted:%Y-%m-%dT%H:%M}"}
    )
    assert answer.status_code == 303
    assert Job.objects.get().run_after == wanted.replace(second=0, microsecond=0)


def test_a_moment_among_the_arguments_too(in_tokyo):
    @app.task(name="scratch.moment", shared=False)
    def task(at: Annotated[datetime.datetime, Argument(help="When.")]) -> None: ...

    try:
        assert "When. In the time zone Asia/Tokyo." in in_tokyo.get("/tasks/scratch.moment/").content.decode()
        answer = in_tokyo.post("/tasks/scratch.moment/", {"at": "2026-02-01T07:30", "launch-when": "now"})
        assert answer.status_code == 303, answer.content.decode()
        job = Job.objects.get()
        sent = datetime.datetime.fromisoformat(job.kwargs["at"])
        assert sent == AT.replace(second=0)
        again = in_tokyo.get(f"/tasks/scratch.moment/?from-job={job.pk}").content.decode()
        assert 'value="2026-02-01T07:30"' in again
    finally:
        app.tasks.unregister("scratch.moment")


def test_others_and_strangers_see_the_zone_of_the_site(in_tokyo, client, ada):
    client.logout()
    assert f'data-zone="{timezone.get_default_timezone_name()}"' in client.get("/login/").content.decode()
    client.force_login(ada)
    assert f'data-zone="{timezone.get_default_timezone_name()}"' in client.get("/account/").content.decode()


def test_what_is_no_zone_is_refused_with_the_remedy(as_staff):
    page = as_staff.post("/account/zone/", {"zone": "Mars/Olympus"}, follow=True).content.decode()
    assert "“Mars/Olympus” is no time zone. Choose one of the list, such as Europe/Berlin." in page
    assert not Profile.objects.exists()
    assert "<option selected>" not in as_staff.get("/account/").content.decode()
    as_staff.post("/account/zone/", {"zone": "Europe/Berlin"})
    assert "<option selected>Europe/Berlin" in as_staff.get("/account/").content.decode()
    as_staff.post("/account/zone/", {"zone": ""})
    assert Profile.objects.get().zone == ""

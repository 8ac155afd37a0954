"""What a list shows, as a file: the same jobs, for the same eyes."""

import csv
import io
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.utils import timezone

from jobroom.jobs.models import Job, State, TaskRule
from jobroom.jobs.views import export

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("empty_redis")]


def some(count: int, **fields) -> None:
    now = timezone.now()
    Job.objects.bulk_create(
        Job(
            **{
                "pk": f"job-{n:04}",
                "task": "demo.echo",
                "label": f"text={n}",
                "state": State.FAILED if n % 2 else State.SUCCEEDED,
                "created_at": now - timedelta(seconds=n),
                "error": "=cmd()",
                **fields,
            }
        )
        for n in range(count)
    )


def read(answer) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(answer.content.decode())))


def test_the_file_holds_what_the_filter_finds_over_all_pages(as_staff, monkeypatch):
    monkeypatch.setattr(export, "STEP", 7)
    some(60)
    rows = read(as_staff.get("/jobs/export/", {"state": "failed"}))
    assert [row["id"] for row in rows] == [f"job-{n:04}" for n in range(1, 60, 2)]
    assert rows[0]["error"] == "'=cmd()"  # no formula of a spreadsheet
    found = as_staff.get("/jobs/export/", {"q": "text=3", "format": "json"})
    assert found["Content-Disposition"] == 'attachment; filename="jobs.json"'
    body = found.json()
    assert body["complete"]
    assert {row["label"] for row in body["results"]} == {"text=3", *(f"text=3{n}" for n in range(10))}


def test_what_was_left_out_is_said(as_staff, monkeypatch):
    monkeypatch.setattr(export, "MOST", 5)
    some(9)
    assert "Only the newest 5 jobs" in as_staff.get("/jobs/export/").content.decode()
    body = as_staff.get("/jobs/export/", {"format": "json"}).json()
    assert (body["complete"], len(body["results"])) == (False, 5)


def test_each_sees_their_own_and_reads_what_they_may(as_ada, ada):
    some(3)
    assert read(as_ada.get("/jobs/export/")) == []
    group = Group.objects.create(name="viewers")
    ada.groups.add(group)
    TaskRule.objects.create(task="demo.echo").see.add(group)
    rows = read(as_ada.get("/jobs/export/"))
    assert len(rows) == 3
    assert {(row["label"], row["error"]) for row in rows} == {("", "")}


def test_links_of_the_page_ask_for_the_same(as_staff):
    some(3)
    page = as_staff.get("/jobs/", {"state": "failed"}).content.decode()
    assert 'href="/jobs/export/?state=failed&amp;format=csv"' in page
    page = as_staff.get("/jobs/").content.decode()
    assert 'href="/jobs/export/?format=csv"' in page

"""A failed job shows where it failed in the project's code, what was other the last time, and who failed alike."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.utils import timezone

from jobroom.jobs import comparison
from jobroom.jobs.models import Job, State, TaskRule

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("empty_redis")]
TRACEBACK = """Traceback (most recent call last):
  File "/venv/lib/python3.11/site-packages/celery/app/trace.py", line 453, in trace_task
    R = retval = fun(*args, **kwargs)
  File "/srv/sheep/flock/tasks.py", line 12, in count
    return read(path)
  File "/srv/sheep/flock/reading.py", line 40, in read
    raise ValueError(path)
  File "/venv/lib/python3.11/site-packages/pandas/io.py", line 9, in parse
    boom()
ValueError: Row 3 of 'a.csv' is empty
"""


def job(pk: str, state=State.FAILED, error="Row 3 of 'a.csv' is empty", **fields) -> Job:
    at = timezone.now() - timedelta(minutes=int(pk, 36))
    values = {"task": "demo.echo", "finished_at": at, "created_at": at, "error_type": "ValueError", "error": error}
    return Job.objects.create(**{"pk": pk, "state": state, **values, **fields})


def test_the_deepest_frame_of_the_project_is_named():
    frame = comparison.own_frame(TRACEBACK)
    assert (frame.name, frame.file, frame.line, frame.code) == (
        "read", "/srv/sheep/flock/reading.py", 40, "raise ValueError(path)",
    )  # fmt: skip
    assert comparison.own_frame("") is None
    assert comparison.own_frame("ValueError: no frames") is None


def test_last_success_differences_and_those_alike(as_staff, staff):
    this = job("1", kwargs={"text": "new", "times": 2}, traceback=TRACEBACK)
    job("2", error="Row 77 of 'b.csv' is empty", label="text=other")
    job("3", error="Something else")
    job("4", State.SUCCEEDED, "", kwargs={"text": "old", "times": 2}, label="text=old")
    found = comparison.of(this, staff)
    assert found.success.pk == "4"
    assert found.differences == [("text", "old", "new")]
    assert [one.pk for one in found.alike] == ["2"]
    page = as_staff.get("/jobs/1/").content.decode()
    assert "1 other job of this task failed for the same reason" in page
    assert "/srv/sheep/flock/reading.py:40" in page
    assert "<td><code>old</code></td><td><code>new</code></td>" in page
    assert comparison.of(Job.objects.get(pk="4"), staff) is None


def test_jobs_that_one_may_not_read_are_no_examples(ada):
    group = Group.objects.create(name="viewers")
    ada.groups.add(group)
    TaskRule.objects.create(task="demo.echo").see.add(group)
    mine = job("1", owner=ada, kwargs={"text": "mine"})
    job("2")
    job("3", State.SUCCEEDED, "", kwargs={"text": "hush"})
    found = comparison.of(mine, User.objects.get(pk=ada.pk))
    assert (found.success, found.alike, found.differences) == (None, [], [])

"""Celery's results in the table of django-celery-results, beside the archive that the recorder keeps there."""

import pytest
from celery import current_app, states
from django_celery_results.models import TaskResult

from jobroom.jobs.models import Job, State
from jobroom.jobs.recorder import archive

pytestmark = pytest.mark.django_db

NAMES = ["django-db", "django_celery_results.backends.database:DatabaseBackend"]


@pytest.fixture(params=NAMES)
def results_in_database(request, monkeypatch):
    monkeypatch.setitem(current_app.conf, "result_backend", request.param)


def done(pk: str, result: object) -> Job:
    return Job.objects.create(pk=pk, task="demo.add", state=State.SUCCEEDED, result=result)


def test_what_the_backend_wrote_is_left_as_it_is(results_in_database):
    TaskResult.objects.store_result(
        "application/json", "utf-8", "a", '{"token": "lovelace"}', states.SUCCESS, meta='{"children": [1]}'
    )
    archive.write([done("a", {"token": "••••••"})])
    row = TaskResult.objects.get()
    assert (row.result, row.meta, row.task_name) == ('{"token": "lovelace"}', '{"children": [1]}', None)


def test_what_the_backend_does_not_write_is_archived_as_ever(results_in_database):
    archive.write([done("a", 3)])
    row = TaskResult.objects.get()
    assert (row.result, row.task_name, row.status) == ("3", "demo.add", states.SUCCESS)


def test_with_another_backend_the_row_is_the_jobs():
    TaskResult.objects.create(task_id="a", status=states.STARTED, result="old")
    archive.write([done("a", 3)])
    assert TaskResult.objects.get().result == "3"

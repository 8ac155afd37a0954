"""A workflow that a schedule runs: what beat sends launches it, under the schedule's name."""

import json

import pytest
from django.test import TestCase
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from image.celery import app
from jobroom import redis
from jobroom.schedules.services import dispatch
from jobroom.workflows.definitions import registry
from jobroom.workflows.models import StoredWorkflow

pytestmark = pytest.mark.django_db

TEXT = """
name: nightly-sums
payload: {required: [a], properties: {a: {type: integer}}}
nodes:
  add: {task: demo.add, args: ["${payload.a}", 1]}
"""


def test_a_schedule_launches_a_workflow_and_leaves_its_name():
    redis.client().flushdb()
    registry.keep(TEXT, origin="a test")
    every = IntervalSchedule.objects.create(every=1, period="days")
    given = {"definition": "nightly-sums", "payload": {"a": 4}}
    row = PeriodicTask.objects.create(
        name="Nightly", task="jobroom.workflows.run", interval=every, kwargs=json.dumps(given)
    )
    args, kwargs, options = dispatch.message(row)
    task = app.tasks["jobroom.workflows.run"]
    task.push_request(id="job-1", **options["headers"])
    try:
        with TestCase.captureOnCommitCallbacks(execute=True):
            answer = task.run(*args, **kwargs)
    finally:
        task.pop_request()
    stored = StoredWorkflow.objects.get()
    assert answer == {"workflow": stored.pk, "url": f"/workflows/{stored.pk}/"}
    assert (stored.source, stored.schedule, stored.payload, stored.owner) == ("schedule", "Nightly", {"a": 4}, None)

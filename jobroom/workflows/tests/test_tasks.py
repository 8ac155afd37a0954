"""Workflows that are launched by a job: what a schedule does."""

import pytest
from django.contrib.auth.models import Group
from django.test import TestCase

from image.celery import app
from jobroom.jobs.launches import launch
from jobroom.jobs.models import Source
from jobroom.tasks import JobFailed
from jobroom.workflows import tasks
from jobroom.workflows.definitions import registry
from jobroom.workflows.models import Definition, StoredWorkflow

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("no_definitions")]

TEXT = """
name: sums
payload: {required: [a], properties: {a: {type: integer}}}
nodes:
  add: {task: demo.add, args: ["${payload.a}", 1]}
"""


@pytest.fixture
def sums():
    return registry.keep(TEXT, origin="a test").definition


def run(**arguments):
    """Run the task as a worker does, with these headers on its message."""
    headers = arguments.pop("headers", {})
    task = app.tasks["jobroom.workflows.run"]
    task.push_request(id="job-1", **headers)
    try:
        with TestCase.captureOnCommitCallbacks(execute=True):
            return task.run(**arguments)
    finally:
        task.pop_request()


def test_it_answers_id_and_address(sums):
    answer = run(definition="sums", payload={"a": 1})
    stored = StoredWorkflow.objects.get()
    assert answer == {"workflow": stored.pk, "url": f"/workflows/{stored.pk}/"}
    assert (stored.payload, stored.source, stored.owner, stored.schedule) == ({"a": 1}, "task", None, "")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"definition": "sun"}, "There is no workflow called “sun”. There are: sums."),
        ({"definition": "sums"}, "a: “a” is missing."),
        ({"definition": "sums", "payload": {"a": "x"}}, "a: “x” is not a whole number."),
    ],
)
def test_what_cannot_be_launched_fails_the_job_with_a_sentence(sums, given, said):
    with pytest.raises(JobFailed, match=said):
        run(**given)
    assert not StoredWorkflow.objects.exists()


def test_it_acts_in_the_name_of_the_jobs_owner(sums, ada):
    with pytest.raises(JobFailed, match="There is no workflow called “sums” that you may launch"):
        run(definition="sums", payload={"a": 1}, headers={"owner": ada.pk})
    group = Group.objects.create(name="adders")
    ada.groups.add(group)
    sums.launch.add(group)
    run(definition="sums", payload={"a": 1}, headers={"owner": ada.pk})
    assert StoredWorkflow.objects.get().owner == ada


def test_the_owner_is_found_in_the_database_where_the_message_names_none(sums, staff):
    job = launch(
        task="jobroom.workflows.run", arguments={"definition": "sums", "payload": {"a": 1}}, by=staff, source=Source.API
    )
    task = app.tasks["jobroom.workflows.run"]
    task.push_request(id=job.pk)
    try:
        task.run(definition="sums", payload={"a": 1})
    finally:
        task.pop_request()
    assert StoredWorkflow.objects.get().owner == staff


def test_its_form_offers_what_is_switched_on(sums):
    registry.keep(TEXT.replace("sums", "offline"), origin="a test")
    Definition.objects.filter(name="offline").update(enabled=False)
    assert tasks.names({}) == ["sums"]

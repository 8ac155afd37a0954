"""Anyone who does something too often is answered with 429, a sentence and when to try again: on every face, for every limit."""

import json
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client, TestCase

from jobroom.jobs.models import Job, State
from jobroom.workflows.models import StoredWorkflow

pytestmark = pytest.mark.django_db

FORM = {"launch-when": "now", "text": "x"}
# What one person does: each uses up what the launches of an hour leave, but for those with a limit of their own.
FACES = {
    "launch page": ("tasks/demo.echo/", FORM),
    "launch over the API": ("api/jobs/", {"task": "demo.echo", "arguments": {"text": "x"}}),
    "retry on the page": ("jobs/{job}/retry/", {}),
    "retry over the API": ("api/jobs/{job}/retry/", {}),
    "run now": ("admin/django_celery_beat/periodictask/{schedule}/run/", {}),
    "workflow on the page": ("workflows/definitions/hidden-sums/", {"a": "1"}),
    "workflow over the API": ("api/workflows/", {"definition": "hidden-sums"}),
    "preview": ("workflows/definitions/hidden-sums/", {"a": "1", "preview": "1"}),
    "again on the page": ("workflows/{flow}/again/", {}),
    "rerun over the API": ("api/workflows/{flow}/rerun/", {}),
    "resume on the page": ("workflows/{flow}/resume/", {}),
    "resume over the API": ("api/workflows/{flow}/resume/", {}),
    "upload over the API": ("api/files/", None),
    "upload of an asset": ("api/assets/", None),
    "upload on the page": ("assets/", None),
}


@pytest.fixture
def boss(world, settings):
    """Return the client of a person who may do everything, once an hour."""
    settings.JOBROOM = settings.JOBROOM | {"JOBS_LAUNCHES": "1/h", "JOBS_UPLOADS": "1/h"}
    schedule = world.things["schedule_id"]
    type(schedule).objects.filter(pk=schedule.pk).update(headers="{}")  # its owner may not launch the task
    return world.clients["boss"]


def ask(client, address, data):
    with TestCase.captureOnCommitCallbacks(execute=False):
        if data is None:
            # Not one byte of the second is kept.
            return client.post(address, {"file": SimpleUploadedFile("cube.ply", PLY), "name": "Cube"})
        if address.startswith("/api/"):
            return client.post(address, json.dumps(data), content_type="application/json")
        return client.post(address, data)


PLY = b"""ply
format ascii 1.0
element vertex 3
property float x
property float y
property float z
element face 1
property list uchar int vertex_indices
end_header
0 0 0
1 0 0
0 1 0
3 0 1 2
"""


def address_of(world, pattern):
    things = world.things
    job = Job.objects.create(
        id=str(uuid4()), task="demo.echo", kwargs={"text": "x"}, state=State.FAILED, owner=world.people["boss"]
    )
    return "/" + pattern.format(job=job.pk, flow=things["workflow_id"].pk, schedule=things["schedule_id"].pk)


@pytest.mark.parametrize("face", FACES)
def test_the_second_is_refused(world, boss, face):
    pattern, data = FACES[face]
    assert ask(boss, address_of(world, pattern), data).status_code < 400
    StoredWorkflow.objects.filter(pk=world.things["workflow_id"].pk).update(state="FAILURE", node_states="sf")
    before = standing()
    refused = ask(boss, address_of(world, pattern), data)
    assert refused.status_code == 429, refused.content
    assert 3000 < int(refused["Retry-After"]) <= 3600
    sentence = refused.json()["detail"] if pattern.startswith("api/") else refused.content.decode()
    assert "in a short time. Try again in 60 minutes" in sentence
    assert standing() == before


def standing():
    return Job.objects.exclude(state=State.FAILED).count(), StoredWorkflow.objects.count()


def test_previews_leave_the_launches_alone(world, boss):
    page = "/workflows/definitions/hidden-sums/"
    assert ask(boss, page, {"a": "1", "preview": "1"}).status_code == 200
    assert ask(boss, page, {"a": "1", "preview": "1"}).status_code == 429
    assert ask(boss, page, {"a": "1"}).status_code == 303


def test_a_quota_is_answered_in_the_same_way(world, settings):
    settings.JOBROOM = settings.JOBROOM | {"JOBS_WAITING_MOST": 1, "JOBS_STORED_MOST": 10}
    boss = world.clients["boss"]
    asked = [("/api/jobs/", FACES["launch over the API"][1]), ("/api/files/", None)]
    assert ask(boss, *asked[0]).status_code == 201
    for address, data in asked:
        refused = ask(boss, address, data)
        assert refused.status_code == 429
        assert int(refused["Retry-After"]) > 0
        assert "allowed" in refused.json()["detail"]


def test_many_at_once_stop_at_the_limit_and_say_so(world, boss):
    jobs = [Job.objects.create(id=f"j{n}", task="demo.echo", kwargs={"text": "x"}, state=State.FAILED, owner=None)
            for n in range(3)]  # fmt: skip
    data = {"action": "retry", "job": [job.pk for job in jobs], "confirmed": "1"}
    with TestCase.captureOnCommitCallbacks(execute=False):
        page = boss.post("/jobs/bulk/", data, follow=True).content.decode()
    assert "The rest was left as it is" in page


def test_a_person_without_rights_learns_nothing_from_a_limit(world, settings):
    """Who may not launch a task is refused as ever, also when they have used up what they may."""
    settings.JOBROOM = settings.JOBROOM | {"JOBS_LAUNCHES": "1/h"}
    world.people["nobody"].groups.add(Group.objects.get(name="launchers"))
    client = Client()
    client.force_login(world.people["nobody"])
    data = {"task": "demo.echo", "arguments": {"text": "x"}}
    assert [ask(client, "/api/jobs/", data).status_code for _ in range(2)] == [201, 429]
    hidden, none = (ask(client, "/api/jobs/", {**data, "task": name}) for name in ("demo.add", "demo.ad"))
    assert hidden.status_code == none.status_code == 403

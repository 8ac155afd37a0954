"""What has happened to a job counts at once, wherever someone asks: page, API, command and who follows it go by the same."""

import io

import pytest
from django.core.management import call_command

from jobroom import events
from jobroom.jobs.follower import Follower
from jobroom.jobs.models import Job, State
from jobroom.jobs.recorder import Recorder

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_redis")]


@pytest.fixture
def ended() -> Job:
    """Return a job that has failed, of which no recorder has written that yet."""
    run = {"task": "demo.echo", "execution": "e", "worker": "w@h", "instance": "w@h/1", "pid": 1, "queue": "default"}
    events.emit("queued", "j1", task="demo.echo", args=["x"], kwargs={}, queue="default", source="code")
    events.emit("started", "j1", **run)
    Recorder().step(wait=0.1)
    end = {"state": "failed", "runtime": 1, "result": None, "error": "x", "error_type": "E", "traceback": ""}
    events.emit("finished", "j1", execution="e", holder="", **end)
    job = Job.objects.get(pk="j1")
    assert job.state == State.RUNNING, "the history does not know the end"
    return job


WAYS = {
    "command": lambda client: call_command("retry", "j1", stdout=io.StringIO()),
    "page": lambda client: client.post("/jobs/j1/retry/"),
    "API": lambda client: client.post("/api/jobs/j1/retry/"),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_job_that_has_ended_is_retried_before_the_history_knows_it(ended, admin_client, way):
    assert Follower(io.StringIO()).follow(ended).state == State.FAILED
    WAYS[way](admin_client)
    Recorder().step(wait=0.1)
    assert Job.objects.get(pk="j1").state == State.QUEUED


def test_it_is_cancelled_no_more(ended, admin_client):
    said = [str(message) for message in admin_client.post("/jobs/j1/cancel/", follow=True).context["messages"]]
    assert said == ["Job j1 has ended already: failed."]

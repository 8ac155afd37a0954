"""Programs use Jobroom: the API, the socket and the commands, against a real worker and recorder."""

import asyncio
import json

import pytest
from asgiref.testing import ApplicationCommunicator
from django.contrib.auth.models import User
from django.test import AsyncClient

from image.asgi import application
from jobroom import events, redis
from jobroom.jobs.models import Job, State, StoredFile
from jobroom.jobs.tokens import new_token
from jobroom.live.tests.frames import messages
from jobroom.testing import wait_until
from jobroom.testing.processes import Recorder, Worker, completed, running
from jobroom.testing.tasks import made_task

QUICK = {"DJANGO_SETTINGS_MODULE": "tests.acceptance.impatient_settings", "IMAGE_EXTRA_APPS": "tests.acceptance.deaf"}
pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True), pytest.mark.timeout(720)]


@pytest.fixture(autouse=True)
def _empty_redis():
    redis.client().flushdb()


@pytest.fixture
def token():
    """Return an API token of someone who may everything."""
    return new_token(User.objects.create_superuser("grace", password="hopper"), "test")[1]


@pytest.fixture
def engine():
    """Run a worker and a recorder that lose no time."""
    with running(Worker(env=QUICK), Recorder(env=QUICK)):
        yield


def manage(*words):
    return completed("-m", "django", *words, env=QUICK)


async def launch(token, task, wait, **arguments):
    answer = await AsyncClient().post(
        f"/api/jobs/?wait={wait}",
        json.dumps({"task": task, "arguments": arguments}),
        content_type="application/json",
        headers={"Authorization": f"Token {token}"},
    )
    return answer.status_code, json.loads(answer.content)


class Socket:
    """A program's socket with a bearer token."""

    def __init__(self, token):
        scope = {
            "type": "websocket", "path": "/ws/live/", "query_string": b"", "subprotocols": [],
            "headers": [(b"host", b"localhost"), (b"authorization", f"Bearer {token}".encode())],
        }  # fmt: skip
        self.wire = ApplicationCommunicator(application, scope)

    async def __aenter__(self):
        await self.wire.send_input({"type": "websocket.connect"})
        assert (await self.wire.receive_output(timeout=60))["type"] == "websocket.accept"
        return self

    async def __aexit__(self, *_):
        await self.wire.send_input({"type": "websocket.disconnect", "code": 1000})
        await self.wire.wait(timeout=60)

    async def watch(self, topic):
        await self.wire.send_input({"type": "websocket.receive", "text": json.dumps({"subscribe": topic})})
        while True:
            for message in messages((await self.wire.receive_output(timeout=60))["text"]):
                if message["type"] != "beat":  # a sign of life, on a machine that took its time
                    yield message


async def watch_to_the_end(token, job_id):
    """Return the types of what a socket hears of a job, which waits for that, until it ends."""
    heard = []
    async with Socket(token) as socket:
        async for message in socket.watch(f"job:{job_id}"):
            heard.append(message["type"])
            redis.client().set("deaf:listens", 1)
            if message["type"] == "state" and message["state"] == "succeeded":
                break
    return heard


async def test_a_launch_waits_for_its_result_and_many_of_them_hold_no_one_up(engine, token):
    code, done = await launch(token, "demo.add", 60, x=1, y=2)
    assert (code, done["state"], done["content"]["result"]) == (200, "succeeded", 3)

    def heard(): ...  # in the worker it waits for a listener

    with made_task(heard, name="deaf.heard"):
        code, left = await launch(token, "deaf.heard", 0.2)
    assert (code, set(left)) == (202, {"id", "state", "url"})
    redis.client().set("deaf:listens", 1)
    code, failed = await launch(token, "demo.fail", 60, message="no")
    assert (code, failed["state"], failed["content"]["error"]) == (200, "failed", "no")
    answers = await asyncio.gather(*(launch(token, "demo.add", 60, x=n, y=0) for n in range(12)))
    assert [(code, done["content"]["result"]) for code, done in answers] == [(200, n) for n in range(12)]


async def test_a_socket_with_a_token_hears_of_a_job_until_its_end(engine, token):
    launched = await asyncio.to_thread(manage, "launch", "deaf.heard", "--json")
    job = json.loads(launched.stdout)
    heard = await watch_to_the_end(token, job["id"])
    assert heard[0] == "snapshot"
    assert {"log", "progress", "state"} <= set(heard)


def test_a_command_follows_a_job_and_exits_with_its_end(engine):
    done = manage("launch", "demo.countdown", "--arg", "start=3", "--follow")
    assert done.returncode == 0, done.stderr
    assert "info    3 …" in done.stdout
    assert 'result    "Lift-off"' in done.stdout
    assert "[##############################] 100%" in done.stdout
    failed = manage("launch", "demo.fail", "--json-args", '{"message": "no"}', "--follow", "--json")
    assert failed.returncode == 1
    assert json.loads(failed.stdout)["error"] == "no"
    job = Job.objects.get(pk=json.loads(failed.stdout)["id"])
    assert job.source == "command"
    # The command goes by the events: the recorder writes them down a moment later.
    wait_until(lambda: Job.objects.get(pk=job.pk).state == State.FAILED, 90, "the database knows its end")
    retried = manage("retry", job.pk)
    assert retried.returncode == 0, retried.stderr
    wait_until(lambda: Job.objects.get(pk=job.pk).attempts == 2, 90)


def test_a_job_that_does_not_listen_loses_its_process_and_can_be_run_again(engine):
    job_id = json.loads(manage("launch", "deaf.work", "--arg", "secs=100", "--json").stdout)["id"]
    wait_until(lambda: redis.client().exists(events.running_key(job_id)), 90, "it runs")
    assert "Asked to stop" in manage("cancel", job_id).stdout
    wait_until(lambda: Job.objects.get(pk=job_id).state == State.CANCELLED, 60, "it is ended")
    assert "its process was ended" in Job.objects.get(pk=job_id).error
    assert manage("launch", "demo.add", "--arg=x=1", "--arg=y=1", "--follow").returncode == 0
    assert manage("retry", job_id).returncode == 0
    wait_until(lambda: Job.objects.get(pk=job_id).state == State.RUNNING, 90, "it runs again")
    assert manage("cancel", job_id).returncode == 0
    wait_until(lambda: Job.objects.get(pk=job_id).state == State.CANCELLED, 60, "it is ended again")


def test_a_file_goes_in_by_command_and_comes_out_as_a_result(engine, tmp_path):
    source = tmp_path / "words.txt"
    source.write_text("one two")
    done = manage("launch", "deaf.shout", "--arg", f"text={source}", "--follow", "--json")
    assert done.returncode == 0, done.stderr
    (made,) = wait_until(lambda: list(StoredFile.objects.exclude(job_id="")), 60)
    assert (made.name, made.path.read_text()) == ("loud.txt", "ONE TWO")
    assert json.loads(done.stdout)["result"] == "words.txt"

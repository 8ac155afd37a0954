"""Requests that wait for jobs, against the product's own server: they end in time, hold nothing, and hinder no one."""

import asyncio
import json
import socket
import sys
import urllib.error
import urllib.request
from pathlib import Path

import httpx
import pytest
from celery import current_app
from django.contrib.auth.models import Group, User

from jobroom import redis
from jobroom.cache import single_flight
from jobroom.jobs.calls import Call
from jobroom.jobs.models import Job, State, TaskRule
from jobroom.jobs.tokens import new_token
from jobroom.live import topics
from jobroom.runner.redis_server import free_port
from jobroom.testing import wait_until
from jobroom.testing.processes import Process, Recorder, Worker, running

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True), pytest.mark.timeout(360)]
# A queue that no one serves: its jobs wait for ever.
UNSERVED = "heavy"


@pytest.fixture(autouse=True)
def _empty_redis(monkeypatch):
    redis.client().flushdb()
    # The loop of these tests has nothing to do but ask; looking at the database meanwhile holds no one up.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")


@pytest.fixture
def web():
    """Run the server with six threads."""
    port = free_port()
    argv = [sys.executable, "-m", "uvicorn", "image.asgi:application", "--port", str(port), "--no-access-log"]
    server = Process("web", [*argv, "--timeout-graceful-shutdown", "5"], {"LOG_LEVEL": "INFO"})
    server.url = f"http://127.0.0.1:{port}"
    with server:
        wait_until(lambda: _answers(server.url), 60, f"the server answers\n{server.log}")
        yield server
        assert "Traceback" not in server.log, server.log


def _answers(url):
    try:
        with urllib.request.urlopen(f"{url}/healthz", timeout=2) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


@pytest.fixture
def token():
    return new_token(User.objects.create_superuser("grace"), "test")[1]


def client(web, token, **more):
    headers = {"Authorization": f"Token {token}"} if token else {}
    return httpx.AsyncClient(base_url=web.url, headers=headers, timeout=90, limits=httpx.Limits(), **more)


def launch(client, task, wait, queue="", **arguments):
    return client.post(f"/api/jobs/?wait={wait}", json={"task": task, "arguments": arguments, "queue": queue})


def listeners(job_id):
    """Return how many connections listen to the job."""
    return redis.client().pubsub_numsub(topics.channel(f"job:{job_id}"))[0][1]


def listeners_of_all():
    """Return how many jobs someone listens to."""
    return len(redis.client().pubsub_channels(topics.channel("job:*")))


def threads(web):
    return len(list(Path(f"/proc/{web.pid}/task").iterdir()))


async def test_it_answers_when_the_job_ends_or_the_time_is_over(web, token):
    with running(Worker(), Recorder()):
        async with client(web, token) as http:
            done = await launch(http, "demo.add", 60, x=1, y=2)
            assert (done.status_code, done.json()["content"]["result"]) == (200, 3)
            assert "default-src 'none'" in done.headers["Content-Security-Policy"]
            assert done.headers["X-Frame-Options"] == "DENY"
            assert "Location" not in done.headers
            left = await launch(http, "demo.add", 0.3, UNSERVED, x=1, y=2)
            assert (left.status_code, set(left.json())) == (202, {"id", "state", "url"})
            await asyncio.to_thread(wait_until, lambda: not listeners(left.json()["id"]), 60, "no one listens any more")
            assert (await launch(http, "demo.add", 0, x=1, y=2)).status_code == 201


async def test_only_who_may_launch_may_wait_and_sees_what_is_theirs(web):
    ada = User.objects.create_user("ada")
    text = new_token(ada, "test")[1]
    async with client(web, "") as http:
        anonymous = await launch(http, "demo.add", 60, x=1, y=2)
        assert (anonymous.status_code, anonymous.headers["Content-Type"]) == (401, "application/problem+json")
    async with client(web, text) as http:
        refused = await launch(http, "demo.add", 60, x=1, y=2)
        assert (refused.status_code, refused.headers["Content-Type"]) == (403, "application/problem+json")
        assert not Job.objects.exists()
        group = Group.objects.create(name="adders")
        ada.groups.add(group)
        TaskRule.objects.create(task="demo.add").launch.add(group)
        with running(Worker(), Recorder()):
            done = await launch(http, "demo.add", 60, x=1, y=2)
        assert (done.status_code, done.json()["owner"], done.json()["content"]["result"]) == (200, "ada", 3)


def test_who_hangs_up_is_waited_for_no_more(web, token):
    body = json.dumps({"task": "demo.add", "arguments": {"x": 1, "y": 2}, "queue": UNSERVED})
    head = f"POST /api/jobs/?wait=60 HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Token {token}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", int(web.url.rpartition(":")[2]))) as line:
        line.sendall((head + body).encode())
        job = wait_until(Job.objects.first, 60, "it is launched")
        wait_until(lambda: listeners(job.pk), 60, "it is waited for")
    wait_until(lambda: not listeners(job.pk), 60, "it is waited for no more")
    assert Job.objects.get().state == State.QUEUED


async def test_those_who_wait_hold_no_thread(web, token):
    async with client(web, token) as http:
        waits = [asyncio.create_task(launch(http, "demo.add", 60, UNSERVED, x=n, y=0)) for n in range(80)]
        await asyncio.to_thread(wait_until, lambda: listeners_of_all() == 80, 60, "all wait")
        assert threads(web) < 40
        assert (await http.get("/healthz")).status_code == 200
        assert not any(wait.done() for wait in waits)
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)


async def test_a_kept_answer_needs_neither_worker_nor_recorder(web, token):
    task = current_app.tasks["demo.answer_once"]
    asked = Call(task, [], {"text": "Known", "secs": 0}).question
    single_flight.keep(asked, "first", {"state": "succeeded", "result": '{"words": 1}', "answer_of": "first"}, [])
    async with client(web, token) as http:
        Job.objects.create(id="first", task=task.name, state=State.SUCCEEDED)
        done = await launch(http, task.name, 60, text="Known", secs=0)
    answer = done.json()
    assert (done.status_code, answer["state"], answer["from_cache"]) == (200, "succeeded", True)
    assert (answer["answer_of"], answer["content"]["result"]) == ("first", {"words": 1})
    assert Job.objects.get(pk=answer["id"]).answer_of == "first"
    assert current_app.AsyncResult(answer["id"]).get(timeout=60) == {"words": 1}


async def test_many_identical_requests_at_once_compute_once(web, token):
    with running(Worker(), Recorder()):
        async with client(web, token) as http:
            answer = await asyncio.gather(
                *(launch(http, "demo.answer_once", 60, text="Same", secs=1) for _ in range(150))
            )
        assert {(one.status_code, one.headers["Content-Type"]) for one in answer} == {(200, "application/json")}
        ids = [one.json()["id"] for one in answer]
        wait_until(lambda: Job.objects.filter(pk__in=ids, state=State.SUCCEEDED).count() == 150, 60)
    assert sorted(Job.objects.values_list("attempts", flat=True)) == [0] * 149 + [1]
    assert Job.objects.filter(answer_of="").count() == 1


async def test_the_server_ends_in_time_while_requests_wait(web, token):
    async with client(web, token) as http:
        wait = asyncio.create_task(launch(http, "demo.add", 60, UNSERVED, x=1, y=2))
        await asyncio.to_thread(wait_until, listeners_of_all, 60, "it waits")
        await asyncio.to_thread(web.stop, 40)  # less than the request would wait
        assert web.popen.returncode in {0, -15}, web.log
        wait.cancel()
        await asyncio.gather(wait, return_exceptions=True)

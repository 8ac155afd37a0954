"""A broker that stands still: a launch is answered soon, its job is kept, sent when the broker goes on, and runs once."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from jobroom import redis
from jobroom.jobs.models import Job, State
from jobroom.jobs.tokens import new_token
from jobroom.runner.redis_server import PrivateServer, free_port
from jobroom.testing import dying_with_us, wait_until
from jobroom.testing.processes import Process, Recorder, Worker, running

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]

# Seconds within which a caller must have an answer, on a machine that stands still for a while too.
SOON = 50.0
CALL = """
import django
django.setup()
import time
from demo.tasks import add
from kombu.exceptions import OperationalError
began = time.monotonic()
try:
    print("sent", add.delay(20, 22).id)
except OperationalError as error:
    print("refused", error)
print("took", time.monotonic() - began, flush=True)
"""


@pytest.fixture(autouse=True)
def _empty_redis():
    redis.client().flushdb()


@contextmanager
def frozen(group: int) -> Iterator[None]:
    """Let a server and its children stand still while inside: it takes connections, and answers nothing."""
    os.killpg(group, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(group, signal.SIGCONT)


class Site:
    """The product's server, asked as a browser and a program do."""

    def __init__(self, person: User, env: dict[str, str]) -> None:
        self.port = free_port()
        argv = [sys.executable, "-m", "uvicorn", "image.asgi:application", "--port", str(self.port), "--no-access-log"]
        self.process = Process("web", argv, {**env, "SITE_URL": f"http://127.0.0.1:{self.port}"})
        self.token = new_token(person, "test")[1]
        client = Client(enforce_csrf_checks=True)
        client.force_login(person)
        client.get("/tasks/demo.add/")
        self.cookies = "; ".join(f"{name}={value.value}" for name, value in client.cookies.items())
        self.csrf = client.cookies["csrftoken"].value

    def ask(self, method: str, path: str, body: str = "", **headers: str) -> tuple[int, str, float]:
        """Return status, text and seconds."""
        began = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=200)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            text = answer.read().decode()
            return answer.status, text + (answer.getheader("Location") or ""), time.monotonic() - began
        finally:
            connection.close()

    def is_up(self) -> bool:
        try:
            return self.ask("GET", "/healthz")[0] == 200
        except OSError:
            return False

    def by_api(self) -> tuple[int, str, float]:
        body = json.dumps({"task": "demo.add", "arguments": {"x": 1, "y": 2}})
        return self.ask(
            "POST", "/api/jobs/", body, Authorization=f"Token {self.token}", Content_Type="application/json"
        )

    def by_page(self) -> tuple[int, str, float]:
        body = urllib.parse.urlencode({"x": 3, "y": 4, "launch-when": "now", "csrfmiddlewaretoken": self.csrf})
        headers = {"Cookie": self.cookies, "Content_Type": "application/x-www-form-urlencoded"}
        return self.ask("POST", "/tasks/demo.add/", body, **headers)


def launch_while_frozen(site: Site, env: dict[str, str], group: int) -> None:
    """Launch by API, page and code while the broker stands still, and see each of these jobs run once afterwards."""
    recorder, call = Recorder(env), Process("call", [sys.executable, "-c", CALL], env)
    with running(recorder, site.process), Worker(concurrency=1, env=env) as worker:
        wait_until(site.is_up, 60)
        for status, text, _ in (site.by_api(), site.by_page()):  # connections are open from now on
            assert status in {201, 302, 303}, text
        wait_until(lambda: succeeded() == [3, 7], 60, worker.log[-3000:])
        with frozen(group):
            answers = [site.by_api(), site.by_page()]
            with call:
                wait_until(lambda: "took" in call.log, 100)
        assert [status in {201, 302, 303} for status, _, _ in answers] == [True, True], answers
        assert max(seconds for _, _, seconds in answers) < SOON
        assert float(call.log.split("took ")[1]) < SOON
        assert "stands still" in call.log or "timed out" in call.log, call.log
        # The call from code has notified its caller; the broker may have its message in its buffers all the same.
        wait_until(lambda: sorted(set(succeeded()) - {42}) == [3, 7] and len(launched()) == 4, 60, site.process.log)
        wait_until(lambda: [job.state for job in launched()] == [State.SUCCEEDED] * 4, 90, worker.log[-3000:])
    assert [job.attempts for job in launched()] == [1] * 4


def launched() -> list[Job]:
    return list(Job.objects.filter(source__in=["api", "page"]))


def succeeded() -> list[int]:
    found: Any = Job.objects.filter(state=State.SUCCEEDED).values_list("result", flat=True)
    return sorted(found)


def test_on_redis(admin_user):
    env = {"DJANGO_SETTINGS_MODULE": "tests.acceptance.unsent_settings"}
    group = os.getpgid(int(redis.client().info("server")["process_id"]))
    assert group != os.getpgid(0), "the Redis of the tests stands still, and not the tests"
    launch_while_frozen(Site(admin_user, env), env, group)


def test_on_a_redis_of_the_brokers_own(admin_user, tmp_path):
    """What stands still is the broker alone: the Redis of locks and events, which a launch asks first, answers."""
    server = PrivateServer(tmp_path / "broker", persist=False)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
    started = subprocess.Popen(dying_with_us(server.command(), "KILL"), **quiet)
    try:
        server.wait(started)
        env = {"DJANGO_SETTINGS_MODULE": "tests.acceptance.unsent_settings", "CELERY_BROKER_URL": server.url}
        launch_while_frozen(Site(admin_user, env), env, started.pid)
    finally:
        started.kill()
        started.wait()

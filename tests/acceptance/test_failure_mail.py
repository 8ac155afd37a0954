"""Exactly one mail for each final failure, whatever ended the job and whatever the mail server does."""

import collections
import email
import email.policy
import json
import shutil
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from celery import chord
from celery.result import AsyncResult

from image.celery import app
from jobroom import events, redis
from jobroom.jobs import error_kinds
from jobroom.jobs.models import Job, State
from jobroom.locks import redis_lock
from jobroom.notifications import failure_mails
from jobroom.notifications.models import Mail
from jobroom.notifications.models import State as MailState
from jobroom.runner.redis_server import free_port
from jobroom.testing import wait_until
from jobroom.testing.floods import end_floods
from jobroom.testing.processes import Recorder, Worker, running

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True), pytest.mark.timeout(360)]

AFTER_EACH = b"\n" + b"-" * 79 + b"\n"  # what Django writes into a file after a mail
PATIENT = "tests.acceptance.patient_settings"
SLOW = 60.0  # longest wait for a fact, in seconds; nothing here is measured


@pytest.fixture(autouse=True)
def _empty_redis():
    redis.client().flushdb()
    yield
    redis.client().flushdb()


class Site:
    """A data folder, the environment of its processes and the mails they wrote."""

    def __init__(self, folder: Path) -> None:
        self.mails = folder / "mail"
        self.env = {
            "IMAGE_VAR": str(folder),
            "IMAGE_EXTRA_APPS": "tests.acceptance.failing",
            "ADMINS": "Ada <ada@example.org>, bob@example.org",
            "SITE_URL": "https://jobs.example.org",
        }

    def read(self) -> list[email.message.EmailMessage]:
        """Return the mails that were written so far."""
        # Two processes that write in the same second may choose the same name: a file holds one mail or more.
        whole = [text for path in self.paths() for text in path.read_bytes().split(AFTER_EACH)[:-1]]
        return [email.message_from_bytes(text, policy=email.policy.default) for text in whole]

    def paths(self) -> list[Path]:
        return sorted(self.mails.glob("*.log")) if self.mails.exists() else []

    def jobs(self) -> collections.Counter:
        """Return how many mails were written about each job."""
        lines = [line for message in self.read() for line in message.get_content().splitlines()]
        return collections.Counter(line.split()[1] for line in lines if line.startswith("Job: "))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """One data folder for all tests, so that their processes have the same environment and are forked from a warm one."""
    return Path(tmp_path_factory.mktemp("site"))


@pytest.fixture
def site(folder):
    shutil.rmtree(folder / "mail", ignore_errors=True)
    return Site(folder)


def send(task, *args, **options) -> AsyncResult:
    return app.send_task(f"failing.{task}", args, options.pop("kwargs", {}), **options)


def mail_events() -> list[dict]:
    rows: Any = redis.client().xrange(events.stream())
    found = [json.loads(entry["e"]) for _, entry in rows]
    return [event for event in found if event["type"] == "mail"]


def test_one_mail_for_each_final_failure_and_none_for_others(site):
    failing = ("raises", "says", "retries", "retries_without_reason", "soft_limit")
    killed = ("hard_limit", "hard_limit_late", "killed", "exits", "kills_again")
    others = ("recovers", "busy", "quiet", "works")
    with redis_lock("failing-busy"), Worker(concurrency=3, env=site.env):
        sent = {task: send(task) for task in (*failing, *others)}
        for task in others:
            wait_until(sent[task].ready, SLOW, task)
        for task in failing:
            wait_until(lambda job=sent[task].id: site.jobs()[job], SLOW, task)
        # Only now: a pool process that is killed while it sends a mail leaves it to the recorder, which does not run here.
        # And one after the other: a job that was just handed to a process which is killed for another one waits for a rescue.
        for task in killed:
            sent[task] = send(task)
            wait_until(lambda job=sent[task].id: site.jobs()[job], SLOW, task)
        # Whatever the worker had still to say about those jobs, it said before the end of a later one.
        for _ in range(3):
            last = send("raises", "the last")
            wait_until(lambda job=last.id: site.jobs()[job], SLOW)
    counted = site.jobs()
    assert {task: counted[result.id] for task, result in sent.items()} == (
        dict.fromkeys((*failing, *killed), 1) | dict.fromkeys(others, 0)
    )
    assert sent["recovers"].get() == "recovered"
    assert sent["busy"].get() == "failing.busy already running!"


def test_an_error_that_cannot_travel_is_recorded_as_it_was_raised_and_its_bases_decide(site):
    """Celery hands a substitute of such errors to its hooks: neither the history nor the mail goes by that."""
    module = "tests.acceptance.failing.tasks"
    kinds = {
        "two words": ("TwoWords", [f"{module}.TwoWords", f"{module}.Expected", "Exception"], "nothing in store"),
        "local": ("Local", [f"{module}.stubborn.<locals>.Local", f"{module}.Expected", "Exception"], "only here"),
        "unpicklable": ("Expected", [f"{module}.Expected", "Exception"], "('holds', <unlocked _thread.lock object"),
        "unsayable": (
            "Unsayable",
            [f"{module}.Unsayable", f"{module}.Expected", "Exception"],
            "<Unsayable whose __str__",
        ),
        "speechless": ("Speechless", [f"{module}.Speechless", f"{module}.Expected", "Exception"], "<Speechless whose"),
    }
    with running(Recorder(site.env)), Worker(env=site.env):
        news = {kind: send("stubborn", kind).id for kind in kinds}
        no_news = {kind: send("stubborn_expected", kind).id for kind in kinds}
        for job in news.values():
            wait_until(lambda job=job: site.jobs()[job], SLOW)
        ids = [*news.values(), *no_news.values()]
        wait_until(lambda: Job.objects.filter(pk__in=ids, state=State.FAILED).count() == len(ids), SLOW)
        works = app.signature("failing.works", immutable=True)
        member = app.signature("failing.stubborn_expected", args=("unsayable",), immutable=True)
        joined = chord([member, works])(works)
        wait_until(lambda: joined.state == "FAILURE", SLOW, "its chord ends too")
        last = send("raises", "the last")
        wait_until(lambda: site.jobs()[last.id], SLOW)
    for kind, (name, bases, text) in kinds.items():
        for job in (Job.objects.get(pk=news[kind]), Job.objects.get(pk=no_news[kind])):
            assert (job.error_type, error_kinds.bases_of(job)) == (name, bases)
            assert job.error.startswith(text)
            assert AsyncResult(job.pk).state == "FAILURE"
    assert [site.jobs()[job] for job in (*news.values(), *no_news.values())] == [1] * len(kinds) + [0] * len(kinds)


def test_the_mail_says_what_happened_and_keeps_secrets(site):
    with Worker(env=site.env):
        result = send("raises", "s1", kwargs={"password": "open sesame", "code": "code-7"})
        wait_until(site.read, SLOW)
    (mail,) = site.read()
    assert mail["Subject"] == "Error in raising"
    assert mail["To"] == "ada@example.org, bob@example.org"
    body = mail.get_content()
    for line in (
        "Task:      failing.raises",
        f"Job:       {result.id}",
        "Attempt:   1",
        "Arguments: ('s1', password='••••••', code='••••••')",
        "Queue:     default",
        "Worker:    worker@test",
        f"Page:      https://jobs.example.org/jobs/{result.id}/",
        "ValueError: no entry for •••••• with ••••••",
        "Traceback (most recent call last):",
    ):
        assert line in body.splitlines()
    assert "sesame" not in body
    assert "code-7" not in body


@pytest.mark.parametrize("pool", ["threads", "solo"])
def test_other_pools_mail_once_too(site, pool):
    with Worker(env=site.env, pool=pool):
        jobs = [send(task).id for task in ("raises", "retries", "says")]
        wait_until(lambda: all(site.jobs()[job] for job in jobs), SLOW)
        last = send("raises").id
        wait_until(lambda: site.jobs()[last], SLOW)
    assert [site.jobs()[job] for job in jobs] == [1, 1, 1]


@pytest.mark.parametrize("task", ["raises", "killed"])
def test_a_job_that_is_sent_again_by_hand_and_fails_again_mails_again(site, task):
    with Worker(env=site.env):
        job = send(task).id
        wait_until(lambda: site.jobs()[job] == 1, SLOW)
        send(task, task_id=job)
        wait_until(lambda: site.jobs()[job] == 2, SLOW)


def test_a_job_whose_whole_worker_was_killed_mails_once(site):
    with Recorder(env=site.env):
        with Worker(env=site.env) as worker:
            job = send("waits").id
            wait_until(lambda: Job.objects.filter(pk=job, state=State.RUNNING).exists(), SLOW)
            worker.kill()
        wait_until(lambda: site.jobs()[job], 120)
        wait_until(lambda: Mail.objects.filter(failed_job=job, state=MailState.SENT).exists(), SLOW)
    assert site.jobs()[job] == 1
    assert Mail.objects.count() == 1


def test_no_one_to_notify_is_said_in_the_database(site):
    with running(Worker(env={**site.env, "ADMINS": ""}), Recorder(env={**site.env, "ADMINS": ""})):
        job = send("raises").id
        wait_until(lambda: Mail.objects.filter(failed_job=job, state=MailState.NOBODY).exists(), SLOW)
    assert site.paths() == []


def test_a_flood_makes_five_mails_and_one_summary(site):
    env = {**site.env, "DJANGO_SETTINGS_MODULE": "tests.settings_flood"}
    with running(Worker(env=env), Recorder(env=env)):
        sent = [send("raises") for _ in range(30)]
        wait_until(lambda: all(result.ready() for result in sent), SLOW)
        wait_until(lambda: len(site.read()) == 5, SLOW)
        end_floods()
        wait_until(lambda: len(site.read()) == 6, SLOW)
        wait_until(lambda: Mail.objects.filter(state=MailState.SENT).count() == 6, SLOW)
    assert Mail.objects.count() == 6
    subjects = collections.Counter(mail["Subject"] for mail in site.read())
    assert subjects == {"Error in raising": 5, "Error in raising (25 more)": 1}


# Mail servers -----------------------------------------------------------------------------------------------------------
@contextmanager
def hanging_server() -> Iterator[tuple[dict[str, str], Callable[[], None]]]:
    """Accept connections and say nothing; yields the environment of those who wait for it, and what hangs up on all of them."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"smtp://127.0.0.1:{server.getsockname()[1]}"
        yield {"EMAIL_URL": url, "DJANGO_SETTINGS_MODULE": PATIENT}, server.close


class Letterbox(socketserver.ThreadingTCPServer):
    """Where a Postbox puts what it was given, and the gate before it."""

    allow_reuse_address = True

    def __init__(self, port: int, gate: threading.Event | None) -> None:
        super().__init__(("127.0.0.1", port), Postbox)
        self.kept: list[bytes] = []
        self.gate = gate or threading.Event()
        if gate is None:
            self.gate.set()


class Postbox(socketserver.StreamRequestHandler):
    """A mail server that says yes to everything and keeps what it was given, once its gate is open."""

    server: Letterbox

    def handle(self) -> None:
        self.server.gate.wait(10 * SLOW)
        self.wfile.write(b"220 ready\r\n")
        while command := self.rfile.readline().strip().upper():
            if command == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                lines = iter(self.rfile.readline, b".\r\n")
                self.server.kept.append(b"".join(lines))
            self.wfile.write(b"221 bye\r\n" if command == b"QUIT" else b"250 yes\r\n")


@contextmanager
def working_server(port: int, gate: threading.Event | None = None) -> Iterator[list[bytes]]:
    with Letterbox(port, gate) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.kept
        finally:
            server.shutdown()
            thread.join()


def test_a_mail_server_that_is_down_gets_the_mail_when_it_is_back(site):
    port = free_port()
    env = {**site.env, "DJANGO_SETTINGS_MODULE": "tests.settings_flood", "EMAIL_URL": f"smtp://127.0.0.1:{port}"}
    with running(Worker(env=env), Recorder(env=env)):
        result = send("raises")
        wait_until(
            lambda: Mail.objects.filter(failed_job=result.id, state=MailState.WAITING, attempts__gt=0).exists(), SLOW
        )
        wait_until(lambda: Job.objects.filter(pk=result.id, state=State.FAILED, error_type="ValueError").exists(), SLOW)
        assert "ConnectionRefusedError" in Mail.objects.get().error
        assert result.state == "FAILURE"
        with working_server(port) as kept:
            wait_until(lambda: Mail.objects.filter(state=MailState.SENT).exists(), SLOW)
    assert len(kept) == 1
    assert b"Subject: Error in raising" in kept[0]
    assert Mail.objects.get().attempts > 1


def test_a_mail_server_that_hangs_holds_up_no_job(site):
    with hanging_server() as (env, hang_up), Worker(concurrency=1, env={**site.env, **env}):
        results = [send("killed"), send("raises"), send("works")]
        wait_until(lambda: all(result.ready() for result in results), SLOW)
        # No attempt to send a mail is over yet, and yet all three jobs are done by the only pool process.
        assert mail_events() == []
        assert not Mail.objects.exclude(error="").exists()
        assert [result.state for result in results] == ["FAILURE", "FAILURE", "SUCCESS"]
        assert isinstance(results[1].result, ValueError)
        hang_up()
        # One is the pool process's, which writes the row; one the main process's, which reports to the recorder.
        wait_until(lambda: Mail.objects.exclude(error="").exists(), SLOW)
        wait_until(mail_events, SLOW)
    assert Mail.objects.get().state == MailState.WAITING
    assert [(event["status"], event["job"]) for event in mail_events()] == [("failed", results[0].id)]


def test_a_pool_process_that_ends_finishes_its_mail(site):
    port, gate = free_port(), threading.Event()
    env = {**site.env, "EMAIL_URL": f"smtp://127.0.0.1:{port}", "DJANGO_SETTINGS_MODULE": PATIENT}
    with working_server(port, gate) as kept, Worker("--max-tasks-per-child=1", concurrency=1, env=env):
        results = [send("raises"), send("works")]
        wait_until(results[0].ready, SLOW)
        assert kept == []  # the job is done, its process may end, and the mail is still on its way
        gate.set()
        wait_until(lambda: Mail.objects.filter(state=MailState.SENT).count() == 1, SLOW)
        wait_until(results[1].ready, SLOW)
    assert len(kept) == 1


def test_a_mail_whose_sender_is_killed_is_sent_by_the_recorder(site):
    due = redis.key("mail", "due")
    with hanging_server() as (env, _), Worker(env={**site.env, **env}) as worker:
        job = send("raises").id
        (waiting,) = wait_until(lambda: redis.client().zrange(due, 0, -1), SLOW)
        wait_until(AsyncResult(job, app=app).ready, SLOW)
        worker.kill()
    redis.client().zadd(due, {waiting: 1})  # its time is over
    with Recorder(env=site.env):
        mails = Mail.objects.filter(key=failure_mails.key_of(waiting), failed_job=job)
        wait_until(lambda: mails.filter(state=MailState.SENT).exists(), SLOW)
    assert site.jobs() == {job: 1}
    assert not redis.client().exists(due)

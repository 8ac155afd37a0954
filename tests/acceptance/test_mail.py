"""Mails with real workers and real mail servers: once, whatever dies on the way."""

import subprocess
import sys

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.mail import send_mail

from image.celery import app
from jobroom import redis
from jobroom.jobs.models import Job
from jobroom.jobs.models import State as JobState
from jobroom.notifications.models import Mail, Outcome, State
from jobroom.runner.redis_server import free_port
from jobroom.testing import wait_until
from jobroom.testing.mail_server import mail_server
from jobroom.testing.processes import Recorder, Worker, environment, running

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True), pytest.mark.timeout(360)]

SLOW = 90.0  # longest wait for a fact, in seconds; nothing here is measured
ADA, BOB = "ada@example.org", "bob@example.org"


@pytest.fixture(autouse=True)
def _empty_redis():
    redis.client().flushdb()
    yield
    redis.client().flushdb()


@pytest.fixture
def queued(settings):
    """Let this process's own mails go to the queue, as those of a server do."""
    settings.JOBROOM = settings.JOBROOM | {"EMAIL_TRANSPORT": settings.EMAIL_BACKEND}
    settings.EMAIL_BACKEND = "jobroom.notifications.backends.QueuedBackend"


def room(url):
    return {"DJANGO_SETTINGS_MODULE": "tests.settings_flood", "EMAIL_URL": url, "ADMINS": ADA}


def post(*to, **more):
    call = {"to": list(to or [ADA]), "subject": "Hello", "text": "text", **more}
    return app.send_task("jobroom.notifications.send_email", (), call, queue="email")


def is_(state):
    return lambda: Mail.objects.filter(state=state).exists()


def outcomes():
    return list(Mail.objects.get().attempt_set.values_list("outcome", flat=True))


def test_a_server_that_is_down_for_five_tries_gets_the_mail_once_it_is_up():
    port = free_port()
    with running(Worker(queues="email", env=room(f"smtp://127.0.0.1:{port}")), Recorder(env=room(""))):
        result = post()
        wait_until(lambda: Mail.objects.filter(attempts__gte=5, state=State.WAITING).exists(), SLOW)
        wait_until(lambda: Job.objects.filter(pk=result.id, state=JobState.RETRYING).exists(), SLOW)
        with mail_server(port) as server:
            assert result.get(timeout=SLOW)["delivered"] == [ADA]
    assert len(server.mails) == 1
    assert outcomes() == [Outcome.LATER] * (len(outcomes()) - 1) + [Outcome.SENT]


def test_later_and_never_are_distinguished():
    answers = {"MAIL": ["451 later"], f"RCPT {BOB}": ["550 no such user"]}
    with mail_server(answers=answers) as server, Worker(queues="email", env=room(server.url)):
        outcome = post(ADA, BOB).get(timeout=SLOW)
        server.answers["RCPT"] = ["550 no"]
        refused = post(BOB)
        wait_until(refused.ready, SLOW)
    assert "550 no" in str(refused.result)
    assert (outcome["delivered"], outcome["refused"]) == ([ADA], {BOB: "550 no such user"})
    assert server.mails[0].recipients == [ADA]


def test_a_worker_that_is_killed_before_the_answer_leaves_a_mail_that_is_not_sent_twice():
    with mail_server(answers={"content": ["silence"]}) as server, Recorder(env=room(server.url)):
        with Worker(queues="email", env=room(server.url)) as worker:
            result = post()
            assert server.silent.wait(SLOW)
            worker.kill()
        server.speak.set()  # the server has it, no matter who died
        with Worker(queues="email", env=room(server.url)):
            wait_until(is_(State.UNKNOWN), SLOW)
            wait_until(lambda: Job.objects.filter(pk=result.id, state=JobState.FAILED).exists(), SLOW)
            mail = Mail.objects.get()
            # The queue is served, and what comes after it is sent.
            assert post(BOB).get(timeout=SLOW)["state"] == "sent"
    assert [received.recipients for received in server.seen] == [[ADA], [BOB]]
    assert "Its sender died" in mail.error
    assert list(mail.attempt_set.values_list("outcome", flat=True)) == [Outcome.UNKNOWN]


def test_a_mail_that_may_arrive_twice_is_sent_again_by_the_next_worker():
    with mail_server(answers={"content": ["silence"]}) as server, Recorder(env=room(server.url)):
        with Worker(queues="email", env=room(server.url)) as worker:
            result = post(may_repeat="yes")
            assert server.silent.wait(SLOW)
            worker.kill()
        with Worker(queues="email", env=room(server.url)):
            assert result.get(timeout=SLOW)["state"] == "sent"
            assert len(server.seen) == 2
    assert outcomes() == [Outcome.UNKNOWN, Outcome.SENT]


def test_a_worker_that_is_killed_before_handing_over_costs_time_and_no_mail():
    with mail_server(answers={"DATA": ["silence"]}) as server, Recorder(env=room(server.url)):
        with Worker(queues="email", env=room(server.url)) as worker:
            result = post()
            assert server.silent.wait(SLOW)
            worker.kill()
        with Worker(queues="email", env=room(server.url)):
            assert result.get(timeout=SLOW)["state"] == "sent"
    assert [received.recipients for received in server.seen] == [[ADA]]


# Twenty processes from one, because each start of Django takes longer than the race.
RACERS = """
import os, sys, time, traceback
import django
django.setup()
from django.core.mail import EmailMessage

start = time.time() + 1
children = []
for _ in range(20):
    pid = os.fork()
    if pid:
        children.append(pid)
        continue
    try:
        time.sleep(max(0.0, start - time.time()))
        EmailMessage("Hello", "text", None, ["ada@example.org"], headers={"X-Mail-Key": "the same"}).send()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)
sys.exit(any([os.waitpid(pid, 0)[1] for pid in children]))
"""


def test_twenty_processes_with_one_key_send_one_mail():
    with mail_server() as server, Worker(queues="email", concurrency=3, env=room(server.url)):
        jobs = [post(key="job key", subject="From jobs") for _ in range(20)]
        raced = subprocess.run(
            [sys.executable, "-c", RACERS], env=environment(room(server.url)), cwd=settings.BASE_DIR,
            capture_output=True, text=True,
        )  # fmt: skip
        assert (raced.returncode, raced.stderr) == (0, "")
        for job in jobs:
            job.get(timeout=SLOW)
        wait_until(lambda: Mail.objects.filter(state=State.SENT).count() == 2, SLOW)
    assert Mail.objects.count() == 2
    assert len(server.seen) == 2


@pytest.mark.usefixtures("queued")
def test_the_mail_of_a_password_reset_goes_through_the_queue(client):
    User.objects.create_user("ada", ADA, "old")
    with mail_server() as server, Worker(queues="email", env=room(server.url)):
        answer = client.post("/password-reset/", {"email": ADA})
        assert answer.status_code == 302
        wait_until(is_(State.SENT), SLOW)
    (received,) = server.mails
    assert received.recipients == [ADA]
    assert b"/password-reset/" in received.content
    assert Mail.objects.get().attempt_set.get().by == "worker@test"


@pytest.mark.usefixtures("queued")
def test_housekeeping_sends_what_no_worker_takes():
    with mail_server() as server:
        send_mail("Hello", "text", None, [ADA])
        Mail.objects.update(next_try="2000-01-01T00:00Z")
        with Recorder(env=room(server.url)):
            wait_until(is_(State.SENT), SLOW)
    assert len(server.mails) == 1
    assert Mail.objects.get().attempt_set.get().by == "recorder"


def test_failure_mail_takes_the_queue_and_goes_past_it_when_no_one_serves_it():
    env = {**room(""), "IMAGE_EXTRA_APPS": "tests.acceptance.failing"}
    with mail_server() as server:
        env["EMAIL_URL"] = server.url
        with running(Worker(env=env), Recorder(env=env)):
            with Worker(queues="email", name="mailer", env=env):
                first = app.send_task("failing.raises", (), {})
                wait_until(lambda: Mail.objects.filter(failed_job=first.id, state=State.SENT).exists(), SLOW)
                assert Mail.objects.get().attempt_set.get().by == "mailer@test"
            second = app.send_task("failing.raises", (), {})
            wait_until(lambda: Mail.objects.filter(failed_job=second.id, state=State.SENT).exists(), SLOW)
    assert Mail.objects.get(failed_job=second.id).job_id == ""
    assert Mail.objects.count() == 2
    assert [b"Subject: Error in raising" in received.content for received in server.mails] == [True, True]


def test_a_mail_that_fails_is_no_failure_that_is_mailed_about():
    env = room("")
    with mail_server(answers={"RCPT": ["550 no"]}) as server:
        env["EMAIL_URL"] = server.url
        with running(Worker(queues="email", env=env), Recorder(env=env)):
            result = post()
            wait_until(lambda: Job.objects.filter(pk=result.id, state=JobState.FAILED).exists(), SLOW)
            assert post(BOB).get(timeout=SLOW)["state"] == "sent"
    assert not Mail.objects.exclude(failed_job="").exists()
    assert len(server.mails) == 1

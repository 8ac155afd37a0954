"""A job that puts its message back again and again ends, with a sentence; its worker goes on."""

import pytest
from celery import chord
from celery.result import AsyncResult

from demo import tasks as demo
from jobroom import redis
from jobroom.jobs.models import Job, State
from jobroom.testing import wait_until
from jobroom.testing.processes import Recorder, Worker, running
from jobroom.workers.models import DeadLetter
from tests.acceptance import rejection_tasks

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True), pytest.mark.timeout(240)]


def runs(job):
    return int(redis.client().get(f"rejecting:{job}") or 0)


def state_of(job):
    return Job.objects.filter(pk=job).values_list("state", flat=True).first()


def test_messages_that_go_back_are_bounded():
    """Not so often: it succeeds. For ever: it fails, as do those who wait for it. Acknowledged before: it fails at once."""
    redis.client().flushdb()
    with running(Recorder()), Worker(concurrency=1, app="tests.acceptance.rejection_tasks"):
        few = rejection_tasks.late.delay(3).id
        endless = rejection_tasks.late.delay(10**9).id
        early = rejection_tasks.early.delay().id
        together = chord([demo.add.s(1, 2), rejection_tasks.late.s(10**9)])(demo.echo.si("never"))
        good = demo.add.delay(1, 2).id
        wait_until(lambda: [state_of(job) for job in (few, good)] == [State.SUCCEEDED] * 2, 60)
        wait_until(lambda: [state_of(job) for job in (endless, early)] == [State.FAILED] * 2, 60)
        wait_until(lambda: together.state == "FAILURE", 60)
        wait_until(lambda: redis.client().hlen("unacked") == 0, 60)
        wait_until(lambda: DeadLetter.objects.filter(kind="rejected").count() == 3, 60)
    assert [runs(few), runs(endless), runs(early)] == [4, 101, 1]
    job = Job.objects.get(pk=endless)
    assert "the machine is busy" in job.error
    assert "went back 100 times (MAX_REJECTED)" in job.error
    assert job.attempt_set.count() == 101
    assert "acknowledged before the job ran. Declare the task with acks_late=True" in Job.objects.get(pk=early).error
    assert AsyncResult(endless).state == "FAILURE"
    assert not redis.client().exists(redis.key("rejected", endless))

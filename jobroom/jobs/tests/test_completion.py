"""Launches that wait for the end of their job, from code."""

import asyncio
import threading
import time

import pytest
from asgiref.sync import sync_to_async
from django.db import connection, transaction
from django.utils import timezone

from jobroom import events, redis
from jobroom.jobs import completion
from jobroom.jobs.exceptions import NotCommitted
from jobroom.jobs.launches import alaunch, launch
from jobroom.jobs.models import Job, Source, State
from jobroom.live import topics
from jobroom.live.wait import Waiter
from jobroom.testing import wait_until

WHAT = {"task": "demo.add", "arguments": {"x": 1, "y": 2}, "by": None, "source": Source.COMMAND, "queue": "nobody"}


@pytest.fixture(autouse=True)
def _empty_redis():
    redis.client().flushdb()


def listened_to():
    return redis.client().pubsub_channels(topics.channel("job:*"))


def finish_when_waited_for(states):
    """End the one job once someone listens, from another thread; return the thread."""

    def work():
        try:
            [channel] = wait_until(listened_to, 20, "someone listens")
            job_id = channel.rpartition(":")[2]
            events.emit("log", job_id, execution="e", level="info", message="not the end", obj="")
            events.emit("started", job_id, execution="e", task="demo.add", retries=0, worker="w", queue="nobody")
            events.emit("finished", job_id, execution="e", state="succeeded", result="3", runtime=0.1)
            states.append("reported")
        finally:
            connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    return thread


@pytest.mark.django_db
def test_inside_a_transaction_nothing_is_launched():
    with pytest.raises(NotCommitted, match=r"after the `transaction\.atomic"):
        launch(**WHAT, wait=1)
    assert not Job.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_launch_returns_the_job_when_it_has_ended():
    reported: list[str] = []
    thread = finish_when_waited_for(reported)
    began = time.monotonic()
    job = launch(**WHAT, wait=60)
    thread.join(20)
    assert (job.state, job.result, reported) == (State.SUCCEEDED, 3, ["reported"])
    assert time.monotonic() - began < 50
    assert not listened_to()


@pytest.mark.django_db(transaction=True)
def test_a_launch_returns_the_job_when_the_time_is_over():
    began = time.monotonic()
    job = launch(**WHAT, wait=0.3)
    assert not job.is_finished
    assert job.state == State.QUEUED
    assert time.monotonic() - began >= 0.3


@pytest.mark.django_db(transaction=True)
def test_one_waits_after_the_transaction_as_the_error_says():
    with transaction.atomic():
        job = launch(**WHAT)
    reported: list[str] = []
    thread = finish_when_waited_for(reported)
    assert completion.blocked(job, 60).result == 3
    thread.join(20)


@pytest.mark.django_db(transaction=True)
def test_without_redis_the_database_is_asked(monkeypatch):
    monkeypatch.setattr(completion, "_followed", _unavailable)
    monkeypatch.setattr(completion, "_BLOCKED", 0.05)
    job = launch(**WHAT)
    assert not completion.blocked(job, 0.1).is_finished
    events.emit("finished", job.pk, execution="e", state="failed", error="no")
    assert completion.blocked(job, 60).state == State.FAILED


def _unavailable(*_):
    from jobroom.exceptions import RedisUnavailable

    raise RedisUnavailable


@pytest.mark.django_db(transaction=True)
async def test_asynchronous_code_waits_too():
    reported: list[str] = []
    thread = finish_when_waited_for(reported)
    job = await alaunch(**WHAT, wait=60)
    await asyncio.to_thread(thread.join, 20)
    assert (job.state, job.result) == (State.SUCCEEDED, 3)
    left = await alaunch(**WHAT, wait=0.2)
    assert left.state == State.QUEUED
    assert not await sync_to_async(listened_to)()


@pytest.mark.django_db(transaction=True)
def test_the_round_finds_what_no_one_reported():
    """In the database, deleted, and reported but not recorded yet; not what goes on."""
    going, booked, gone, reported = (launch(**WHAT) for _ in range(4))
    Job.objects.filter(pk=booked.pk).update(state=State.CANCELLED)
    Job.objects.filter(pk=gone.pk).delete()
    events.emit("finished", reported.pk, execution="e", state="failed", error="no")
    ids = [job.pk for job in (going, booked, gone, reported)]
    assert completion.over(ids, going.created_at.timestamp()) == {booked.pk, gone.pk, reported.pk}


@pytest.mark.django_db(transaction=True)
async def test_the_round_goes_on_after_a_fault(monkeypatch, caplog):
    asked = []

    def faulty(ids, since):
        asked.append(list(ids))
        if len(asked) == 1:
            raise ValueError("no one expected this")
        return set(ids)

    monkeypatch.setattr(completion, "over", faulty)
    monkeypatch.setattr(completion, "AT_LEAST", 0.05)
    job = Job(id="j", task="demo.add", created_at=timezone.now())
    one, current = Waiter(completion.reports_end), completion.Round()
    current.add(one, job)
    try:
        await asyncio.wait_for(one.wait(60), 20)
        assert asked == [["j"], ["j"]]
        assert "no one expected this" in caplog.text
    finally:
        await current.remove(one)

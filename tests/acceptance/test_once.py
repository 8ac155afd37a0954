"""Each job runs once, whatever the history does not know yet: recorders suspended, restarted, behind a locked table."""

import os
import signal
import sqlite3
import sys
from contextlib import closing, contextmanager

import pytest
from celery.result import AsyncResult
from django.db import connection

from demo import tasks as demo
from image.celery import app
from jobroom import redis
from jobroom.events import consumer, heartbeat
from jobroom.jobs.launches import launch
from jobroom.jobs.models import Attempt, Job, Source, State
from jobroom.testing import wait_until
from jobroom.testing.processes import Process, Recorder, Worker

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True), pytest.mark.timeout(360)]

SOON = {
    "DJANGO_SETTINGS_MODULE": "tests.acceptance.behind_settings",
    "IMAGE_EXTRA_APPS": "tests.acceptance.failing",
}
COUNT = 10


@pytest.fixture(autouse=True)
def _empty_redis():
    redis.client().flushdb()


@pytest.fixture(scope="module")
def worker(django_db_setup):
    """One worker for all tests: none of them harms it."""
    with Worker(name="once", env=SOON) as running:
        yield running


def launched(count: int = COUNT) -> list[str]:
    return [launch(task="demo.echo", arguments={"text": str(n)}, by=None, source=Source.API).pk for n in range(count)]


def have_ended(ids: list[str]) -> bool:
    return all(AsyncResult(pk).ready() for pk in ids)


def are_known(ids: list[str]) -> bool:
    return Job.objects.filter(pk__in=ids, state=State.SUCCEEDED).count() == len(ids) and not consumer.lag().entries


def assert_once(ids: list[str]) -> None:
    """Fail if a job ran twice, or if a second message of one is on its way."""
    wait_until(lambda: are_known(ids), 60)
    mark = consumer.mark()
    wait_until(lambda: consumer.is_recorded(mark), 60)
    assert sorted(Attempt.objects.filter(job__in=ids).values_list("job", flat=True)) == sorted(ids)
    assert set(Job.objects.filter(pk__in=ids).values_list("attempts", flat=True)) == {1}
    assert redis.client().llen("default") == 0


@contextmanager
def suspended(process):
    """Let a process stand still inside the block, but not in the middle of a transaction: SQLite would let no one else write."""
    wait_until(lambda: _stands_beside_the_database(process), 60, "it stands still, and the database can be written")
    try:
        yield
    finally:
        os.kill(process.pid, signal.SIGCONT)


def _stands_beside_the_database(process) -> bool:
    os.kill(process.pid, signal.SIGSTOP)
    if connection.vendor != "sqlite":
        return True
    with closing(sqlite3.connect(connection.settings_dict["NAME"], timeout=0.1, isolation_level=None)) as other:
        try:
            other.execute("BEGIN IMMEDIATE")
            other.execute("ROLLBACK")
        except sqlite3.OperationalError:
            os.kill(process.pid, signal.SIGCONT)
            return False
    return True


@contextmanager
def recording():
    """Run a recorder, one that reads already."""
    with Recorder(env=SOON) as recorder:
        first = launched(1)
        wait_until(lambda: are_known(first), 60)
        yield recorder


def overdue(ids: list[str]) -> bool:
    """Return whether so much time has passed that a recorder which reads nothing would send them again."""
    oldest = Job.objects.filter(pk__in=ids).order_by("-queued_at").values_list("queued_at", flat=True)[0]
    return oldest is not None and redis.now() - oldest.timestamp() > 1.5


def dropped(worker, ids: list[str]) -> list[str]:
    """Return those of the jobs of which the worker has dropped a message because another had brought their attempt."""
    lines = [line for line in worker.log.splitlines() if "this message of it is dropped" in line]
    return [pk for pk in ids if any(pk in line for line in lines)]


def test_a_recorder_that_was_suspended_sends_nothing_again(worker):
    with recording() as recorder:
        with suspended(recorder):
            ids = launched()
            wait_until(lambda: have_ended(ids) and overdue(ids), 60)
        assert_once(ids)
    assert dropped(worker, ids) == [], "that none of them ran twice is not enough: none is sent again"


def test_a_recorder_that_starts_behind_much_unread_sends_nothing_again(worker):
    ids = launched()
    for number in range(300):  # several batches: repairs came after the first of them
        redis.client().xadd("image:events", {"e": f'{{"type":"log","job":"{ids[0]}","at":1,"message":"{number}"}}'})
    more = launched()
    wait_until(lambda: have_ended([*ids, *more]) and overdue(more), 60)
    with Recorder(env=SOON):
        assert_once([*ids, *more])
    assert dropped(worker, [*ids, *more]) == []


@pytest.mark.postgresql
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer")
@pytest.mark.sql
def test_a_locked_table_sends_nothing_again(worker):
    with recording():
        other = connection.copy()
        try:
            with other.cursor() as cursor:
                cursor.execute("BEGIN")
                cursor.execute("LOCK TABLE jobroom_jobs_attempt IN ACCESS EXCLUSIVE MODE")
                ids = launched()
                wait_until(lambda: have_ended(ids) and overdue(ids), 60)
                cursor.execute("ROLLBACK")
        finally:
            other.close()
        assert_once(ids)


def test_a_message_that_was_sent_twice_starts_once(worker):
    with recording():
        job = demo.echo.apply_async(["x"], headers={"dispatch": "launch"})
        demo.echo.apply_async(["x"], task_id=job.id, headers={"dispatch": "again-1"})
        assert_once([job.id])
        wait_until(lambda: dropped(worker, [job.id]), 60, "the other message of it is dropped")


ON_COMMIT = """
import django
django.setup()
from django.db import transaction
from demo.tasks import echo
with transaction.atomic():
    echo.delay_on_commit("one")
    echo.apply_async_on_commit(("two",))
try:
    with transaction.atomic():
        echo.delay_on_commit("rolled back")
        raise ValueError
except ValueError:
    pass
echo.delay_on_commit("three")
print("done", flush=True)
"""


def test_what_a_program_sends_on_commit_runs_once_it_has_committed(worker):
    with recording():
        with Process("on_commit", [sys.executable, "-c", ON_COMMIT], SOON) as program:
            wait_until(lambda: "done" in program.log, 60)
        mine = Job.objects.filter(task="demo.echo", result__in=["one", "two", "three", "rolled back"])
        wait_until(lambda: mine.count() == 3, 60)
        assert set(mine.values_list("result", flat=True)) == {"one", "two", "three"}
        assert_once(list(mine.values_list("pk", flat=True)))


def test_a_far_countdown_is_kept_by_no_one_and_runs_once(worker, settings):
    settings.JOBROOM = settings.JOBROOM | {"HELD_AT_MOST": 2.0}
    with recording() as recorder:
        with suspended(
            recorder
        ):  # it would send the message when its time comes, which may be before anyone has looked
            job = demo.echo.apply_async(["x"], countdown=4)
            assert redis.client().zscore(redis.key("later"), job.id)
            assert not any(job.id in found.held for found in heartbeat.workers())
        row = wait_until(lambda: Job.objects.filter(pk=job.id).first(), 60, "it is in the history")
        assert row.state == State.SCHEDULED or redis.now() >= row.run_after.timestamp()
        assert_once([job.id])
        row.refresh_from_db()
        assert row.started_at >= row.run_after
        assert redis.client().zcard(redis.key("later")) == 0


def test_what_a_living_worker_holds_is_its_own_however_long_it_takes(worker):
    """The visibility timeout of this worker is a second, and kombu looks for older messages once a second."""
    with recording():
        job = demo.wait.delay(4.0)
        assert job.get(timeout=60)
        assert_once([job.id])
        assert dropped(worker, [job.id]) == [], "that it did not start twice is not enough"


def test_a_long_pause_before_a_retry_is_kept_by_no_one_and_ends_once(worker):
    with recording() as recorder:
        with suspended(recorder):
            job = app.send_task("failing.pauses", (4,))
            wait_until(lambda: redis.client().zscore(redis.key("later"), job.id), 60, "it is kept")
            wait_until(lambda: not any(job.id in found.held for found in heartbeat.workers()), 60, "no worker holds it")
        assert job.get(timeout=60) == "went on"
        wait_until(lambda: are_known([job.id]), 60)
        assert Job.objects.get(pk=job.id).attempts == 2
        assert redis.client().zcard(redis.key("later")) == 0


def test_an_emptied_redis_leaves_no_job_queued(worker):
    """Messages, events, heartbeats and the recorder's place: all is gone, and what the history knows is enough."""
    with recording():
        with suspended(worker):
            ids = launched(5)
            wait_until(lambda: Job.objects.filter(pk__in=ids, state=State.QUEUED, queued_event__gt=0).count() == 5, 60)
            redis.client().flushall()
        assert_once(ids)
        assert_once(launched(1))


def test_an_emptied_queue_leaves_no_job_queued(worker):
    with recording(), suspended(worker):
        ids = launched(3)
        bound = (demo.echo.s("a") | demo.echo.si("b")).apply_async().parent.id
        wait_until(lambda: Job.objects.filter(state=State.QUEUED, queued_event__gt=0).count() == 4, 60)
        redis.client().delete("default")
        wait_until(lambda: redis.client().llen("default") == 3, 60, "those that can be are sent again")
        wait_until(lambda: Job.objects.filter(pk=bound, state=State.LOST).exists(), 60)
    assert "a chain, a chord, links" in Job.objects.get(pk=bound).error
    with Recorder(env=SOON):
        assert_once(ids)

"""Schedules with real beat and worker processes."""

import json
import subprocess
import sys
import time
from collections import Counter
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from jobroom import events, redis
from jobroom.celery import beat
from jobroom.runner.redis_server import PrivateServer
from jobroom.schedules.models import RunState, ScheduledRun, SettingsSchedule
from jobroom.testing import wait_until
from jobroom.testing.processes import Beat, Process, Worker, running
from tests.acceptance.scratch import ScratchApp

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True), pytest.mark.timeout(480)]

TASK = "common.tasks.clearsessions"
PATIENCE = 90
# Seconds from the kill of a scheduler until another has sent what became due; some of them are for a busy machine. One that
# waited for a row to be let go would take a minute.
TAKEOVER = 30.0


@pytest.fixture(autouse=True)
def _fresh():
    """Empty queues and streams."""
    redis.client().flushdb()


def _every_second(name="Each second", **fields):
    every, _ = IntervalSchedule.objects.get_or_create(every=1, period="seconds")
    return PeriodicTask.objects.create(name=name, task=TASK, interval=every, **fields)


def _events(kind):
    entries = redis.client().xrange(events.stream())
    found = [json.loads(fields["e"]) for _, fields in entries]
    return [event for event in found if event["type"] == kind]


def _remembered():
    """Return the jobs of runs that a scheduler has claimed, and not said to have sent."""
    # What was missed, where the servers were away for longer than ten seconds, is no job's.
    over = [RunState.SENT, RunState.MISSED]
    return set(ScheduledRun.objects.exclude(state__in=over).values_list("job", flat=True))


def _beat_has_looked():
    """Wait until beat has ticked a few times, over some seconds: it looks for changes meanwhile, and sends what is due.

    One tick alone, however late, may have begun before the change, and have stood still since.
    """
    ticks = [beat.last_beat_tick() or 0.0]

    def enough():
        tick = beat.last_beat_tick() or 0.0
        if tick != ticks[-1]:
            ticks.append(tick)
        return len(ticks) > 4 and ticks[-1] > ticks[0] + 3

    wait_until(enough, PATIENCE, "beat has looked again")


def _finished(schedule):
    """Return the ids of the schedule's jobs that succeeded."""
    mine = {event["job"] for event in _events("queued") if event["schedule"] == schedule}
    return [e["job"] for e in _events("finished") if e["job"] in mine and e["state"] == "succeeded"]


def test_the_settings_become_rows_and_the_admins_edit_survives_a_restart():
    with Beat(from_settings=True):
        wait_until(SettingsSchedule.objects.exists, PATIENCE, "rows")
    rows = {row.name: row for row in PeriodicTask.objects.all()}
    usi, sessions = rows["Fetch USI status"], rows["Clear sessions"]
    assert (usi.task, usi.crontab.minute, usi.crontab.hour) == ("Fetch USI status", "*/15", "*")
    assert (sessions.task, sessions.crontab.hour, sessions.crontab.minute) == ("image.celery.clearsessions", "12", "0")
    assert all(row.enabled for row in rows.values())
    assert "celery.backend_cleanup" not in rows
    usi.crontab = CrontabSchedule.objects.create(minute="7", hour="*")
    usi.save()
    before = beat.last_beat_tick() or 0
    with Beat(from_settings=True):
        wait_until(lambda: (beat.last_beat_tick() or 0) > before + 1, PATIENCE, "beat ticks again")
    usi.refresh_from_db()
    assert usi.crontab.minute == "7"


def test_a_row_added_in_the_database_runs_and_an_edit_takes_effect():
    with running(Worker(), Beat()):
        wait_until(beat.last_beat_tick, PATIENCE, "beat ticks")
        row = _every_second()
        wait_until(lambda: len(_finished(row.name)) >= 3, PATIENCE, "it runs again and again")
        queued = [event for event in _events("queued") if event["schedule"] == row.name]
        assert {event["source"] for event in queued} == {"schedule"}
        assert {event["queue"] for event in queued} == {"default"}

        row.refresh_from_db()
        row.queue = "nobody"
        row.save(update_fields=["queue", "date_changed"])
        wait_until(lambda: _events("queued")[-1]["queue"] == "nobody", PATIENCE, "the edit takes effect")

        row.enabled = False
        row.save(update_fields=["enabled", "date_changed"])
        _beat_has_looked()
        count = len(_events("queued"))
        _beat_has_looked()
        assert len(_events("queued")) == count


def test_run_now_in_the_admin_runs_the_job_and_leaves_the_schedule_alone():
    client = Client()
    client.force_login(User.objects.create_superuser("chief"))
    yearly = CrontabSchedule.objects.create(minute="0", hour="0", day_of_month="1", month_of_year="1")
    row = PeriodicTask.objects.create(name="Once a year", task=TASK, crontab=yearly)
    with Worker():
        page = client.post(reverse("admin:schedules_run", args=[row.pk]), follow=True).content.decode()
        [job] = wait_until(lambda: _finished(row.name), PATIENCE, "the job ran")
    assert "was sent as job" in page
    assert reverse("jobroom:jobs:job", args=[job]) in page
    row.refresh_from_db()
    assert row.last_run_at is None


def test_two_beats_send_each_run_once_and_one_goes_on_when_the_other_is_killed():
    rows = [_every_second(f"Row {number}") for number in range(3)]

    def sent():
        return Counter(event["schedule"] for event in _events("queued"))

    def noted():
        return dict(PeriodicTask.objects.filter(name__startswith="Row").values_list("name", "total_run_count"))

    def waited(moment):
        """Return the seconds from a moment until the next job of each row was sent, by the clock of who sent it."""
        later = [event for event in _events("queued") if event["at"] > moment]
        return {event["schedule"]: event["at"] - moment for event in reversed(later)}

    first, second = Beat(), Beat()
    with running(first, second):
        wait_until(lambda: min(sent().get(row.name, 0) for row in rows) >= 5, PATIENCE, "jobs are sent")
        wait_until(lambda: all("Beat has read" in each.log for each in (first, second)), PATIENCE, "both are ready")
        busy = max((first, second), key=lambda each: each.log.count("Sending Row"))  # not one that only looks on
        busy.kill()
        killed = time.time()
        wait_until(lambda: len(waited(killed)) == len(rows), PATIENCE, "the other beat goes on")
    assert max(waited(killed).values()) <= TAKEOVER, waited(killed)
    jobs = Counter(event["job"] for event in _events("queued"))
    # What the killed one had claimed may be sent again, as the same job.
    again = set(ScheduledRun.objects.filter(state=RunState.SENT).values_list("job", flat=True))
    assert {job for job, number in jobs.items() if number > 1} <= again
    # What a beat has claimed when it ends was sent, or is remembered and so still to come.
    assert sum(noted().values()) == len({*jobs, *_remembered()})


STANDS_STILL = """
import time
from pathlib import Path
from celery.signals import before_task_publish

@before_task_publish.connect(weak=False)
def stand_still(headers, **_):
    while headers.get("periodic_task_name") and Path(__file__).with_name("stop").exists():
        time.sleep(0.1)
"""


def test_what_a_killed_beat_had_claimed_and_not_sent_is_sent_once_by_another(tmp_path):
    scratch = ScratchApp(tmp_path, STANDS_STILL)
    (tmp_path / "scratch" / "stop").touch()
    hourly, _ = IntervalSchedule.objects.get_or_create(every=1, period="hours")
    due = timezone.now() - timedelta(hours=1, seconds=5)
    rows = [
        PeriodicTask.objects.create(name=f"Hourly {number}", task=TASK, interval=hourly, last_run_at=due)
        for number in range(3)
    ]

    def messages():
        return [json.loads(text)["headers"]["id"] for text in redis.client().lrange("default", 0, -1)]

    with Beat(env=scratch.env) as first:
        wait_until(lambda: "Sending Hourly" in first.log, PATIENCE, "it is about to send the first")
        first.kill()
    runs = list(ScheduledRun.objects.filter(state=RunState.SENDING))
    assert {run.row_id for run in runs} == {row.pk for row in rows}
    assert messages() == []
    ScheduledRun.objects.update(at=timezone.now() - timedelta(minutes=1))  # as if a minute had passed
    with Beat():
        wait_until(lambda: len(messages()) == len(rows), PATIENCE, "another beat sends them")
        wait_until(lambda: not ScheduledRun.objects.exclude(state=RunState.SENT).exists(), PATIENCE, "and says so")
    assert sorted(messages()) == sorted(run.job for run in runs)
    assert set(PeriodicTask.objects.filter(name__startswith="Hourly").values_list("total_run_count", flat=True)) == {1}


@pytest.fixture
def own_redis(settings, tmp_path):
    """A Redis of the test's own; yields what kills it and what starts it again."""
    server = PrivateServer(tmp_path / "redis", persist=True)
    started = []

    def start():
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
        started.append(subprocess.Popen(server.command(), **quiet))
        server.wait(started[-1])

    def kill():
        started[-1].kill()
        started[-1].wait()

    start()
    settings.JOBROOM = settings.JOBROOM | {"REDIS_URL": server.url}
    yield kill, start
    redis.client().close()
    kill()


def test_beat_outlives_a_killed_redis_and_loses_no_run(own_redis):
    kill, start = own_redis
    row = _every_second()

    def messages():
        return {json.loads(text)["headers"]["id"] for text in redis.client().lrange("default", 0, -1)}

    with Beat() as process:
        wait_until(lambda: len(messages()) >= 2, PATIENCE, "jobs are sent")
        kill()
        wait_until(lambda: "the broker is unavailable" in process.log, PATIENCE, "beat notices")
        start()
        count = len(messages())
        wait_until(lambda: len(messages()) >= count + 3, PATIENCE, "beat goes on")
        assert process.popen.poll() is None
        said = redis.now()
        wait_until(lambda: (beat.last_beat_tick() or 0) > said, PATIENCE, "the sign of life is back")
    row.refresh_from_db()
    # Asked to stop, beat may just have claimed a run that it did not send any more: that one is still to come.
    assert row.total_run_count == len({*messages(), *_remembered()})


# A short pause, as any process has between two writes: in a loop without one, SQLite may let one of them starve.
WRITER = """
import time
import django
django.setup()
from datetime import timedelta
from django.contrib.sessions.models import Session
from django.db import transaction
from django.utils import timezone
for number in range(10**9):
    with transaction.atomic():
        count = Session.objects.count()
        Session.objects.update_or_create(
            session_key=f"{__import__('os').getpid()}", defaults={"session_data": count, "expire_date": timezone.now()}
        )
    time.sleep(0.002)
"""


@pytest.mark.skipif(connection.vendor != "sqlite", reason="is about SQLite's one writer")
def test_sqlite_is_never_locked_for_beat_while_six_processes_write():
    rows = [_every_second(f"Row {number}") for number in range(3)]
    writers = [Process(f"writer{number}", [sys.executable, "-c", WRITER]) for number in range(6)]
    process = Beat()
    with running(*writers, process):
        wait_until(lambda: Session.objects.count() == 6, PATIENCE, "all write")

        def least():
            sent = Counter(event["schedule"] for event in _events("queued"))
            return min(sent[row.name] for row in rows)

        wait_until(lambda: least() >= 4, PATIENCE, "jobs are sent")
        assert all(writer.popen.poll() is None for writer in writers)
        assert not any("database is locked" in child.log for child in (*writers, process))

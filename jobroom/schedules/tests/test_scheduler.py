"""Beat's scheduler in this process; the processes are in tests/acceptance/test_schedules.py."""

import sqlite3
from datetime import timedelta

import pytest
from celery import Celery
from django.db import OperationalError as DatabaseGone
from django.db import connection
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask, PeriodicTasks

from jobroom import redis
from jobroom.celery import beat
from jobroom.schedules import scheduler as scheduling
from jobroom.schedules import services
from jobroom.schedules.entries import RowEntry
from jobroom.schedules.scheduler import Scheduler
from jobroom.schedules.services import pauses
from jobroom.testing import wait_until

# Beat closes connections between its looks, which no test transaction would survive.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sql]

TASK = "common.tasks.clearsessions"


def _row(name="Clean", seconds=3600, ago=7200, **fields):
    every, _ = IntervalSchedule.objects.get_or_create(every=seconds, period="seconds")
    last = timezone.now() - timedelta(seconds=ago)
    return PeriodicTask.objects.create(name=name, task=TASK, interval=every, last_run_at=last, **fields)


def _tick(scheduler):
    """Tick until nothing is due."""
    while scheduler.tick() == 0:
        pass


def _names(sent):
    return [name for name, _ in sent]


def test_the_first_tick_makes_rows_of_the_settings(app):
    app.conf.beat_schedule = {"Clean": {"task": TASK, "schedule": 60}}
    _tick(Scheduler(app))
    assert PeriodicTask.objects.get().interval.every == 1
    assert PeriodicTask.objects.get().interval.period == "minutes"


def test_what_is_due_is_sent_once_with_the_schedules_name(app, sent):
    _row(args="[]", kwargs="{}", queue="heavy", headers='{"x": "y"}')
    _row("Later", ago=0)
    scheduler = Scheduler(app)
    _tick(scheduler)
    _tick(scheduler)
    assert _names(sent) == ["Clean"]
    assert sent[0][1]["x"] == "y"
    row = PeriodicTask.objects.get(name="Clean")
    assert row.total_run_count == 1
    assert timezone.now() - row.last_run_at < timedelta(minutes=1)


def test_a_tick_is_a_sign_of_life(app, monkeypatch):
    monkeypatch.setattr(beat, "_said", float("-inf"))
    redis.client().delete(beat.key())
    Scheduler(app).tick()
    assert beat.last_beat_tick()


def test_of_two_schedulers_one_sends(app, sent):
    _row()
    first, second = Scheduler(app), Scheduler(app)
    first._refresh()
    second._refresh()  # both have read that it is due
    _tick(first)
    _tick(second)
    assert _names(sent) == ["Clean"]


def test_a_row_that_was_edited_after_it_was_read_is_not_sent_as_it_was(app, sent, monkeypatch):
    row = _row(args="[1]")
    scheduler = Scheduler(app)
    scheduler._refresh()
    row.args = "[]"
    row.save()
    with monkeypatch.context() as patch:
        patch.setattr(scheduling, "CHECK_INTERVAL", 3600)  # on a slow machine it may be time to look again
        _tick(scheduler)
    assert sent == []
    wait_until(lambda: scheduler.tick() >= 0 and sent)
    assert [list(headers["body"][0]) for _, headers in sent] == [[]]


def test_a_row_disabled_after_it_was_read_is_not_sent(app, sent):
    _row()
    scheduler = Scheduler(app)
    scheduler._refresh()
    PeriodicTask.objects.update(enabled=False)
    _tick(scheduler)
    assert sent == []


def test_a_change_is_seen_without_a_restart(app, sent):
    scheduler = Scheduler(app)
    _tick(scheduler)
    _row("New")
    wait_until(lambda: scheduler.tick() >= 0 and sent)
    assert _names(sent) == ["New"]


def test_a_one_off_is_disabled_in_the_moment_that_it_is_sent(app, sent):
    _row(one_off=True)
    _tick(Scheduler(app))
    _tick(Scheduler(app))  # beat was killed and started again
    assert _names(sent) == ["Clean"]
    row = PeriodicTask.objects.get()
    assert not row.enabled
    assert row.total_run_count == 0


def test_rows_that_make_no_sense_do_not_disturb_the_others(app, sent, caplog):
    broken = [("args", "no json"), ("kwargs", "[]"), ("headers", "5"), ("interval", None)]
    for number, (field, value) in enumerate(broken):
        row = _row(f"Broken {number}")
        PeriodicTask.objects.filter(pk=row.pk).update(**{field: value})
    nonsense = CrontabSchedule.objects.create(minute="nonsense")
    never = CrontabSchedule.objects.create(day_of_month="30", month_of_year="2")
    huge = IntervalSchedule.objects.create(every=2**31 - 1, period="days")  # more than a timedelta holds
    for name, timed in (("b", {"crontab": nonsense}), ("c", {"crontab": never}), ("d", {"interval": huge})):
        row = _row(name)
        PeriodicTask.objects.filter(pk=row.pk).update(**{"interval": None, **timed})
    _row("Good")
    _tick(Scheduler(app))
    assert _names(sent) == ["Good"]
    assert "Broken 0 is left out, it cannot be run: args is no JSON" in caplog.text


def test_a_job_that_can_never_be_sent_is_tried_once_a_run(app, sent, caplog):
    _row(args="[1, 2, 3]")  # the task takes none
    _row("Good", ago=7100)
    scheduler = Scheduler(app)
    _tick(scheduler)
    assert _names(sent) == ["Good"]
    assert "Schedule Clean could not send its job" in caplog.text
    assert PeriodicTask.objects.get(name="Clean").total_run_count == 1


@pytest.mark.usefixtures("one_moment")
def test_of_all_that_was_missed_one_run_is_made_up(app, sent):
    row = _row("Missed")
    hourly = CrontabSchedule.objects.create(minute="0")
    long_ago = timezone.now() - timedelta(days=2)
    PeriodicTask.objects.filter(pk=row.pk).update(interval=None, crontab=hourly, last_run_at=long_ago)
    _tick(Scheduler(app))
    _tick(Scheduler(app))
    assert _names(sent) == ["Missed"]


def test_a_schedule_that_has_ended_or_not_begun_sends_nothing(app, sent):
    _row("Ended", expires=timezone.now() - timedelta(seconds=1))
    _row("Begins", start_time=timezone.now() + timedelta(hours=1))
    _tick(Scheduler(app))
    assert sent == []


def test_a_run_goes_back_while_the_broker_is_away_and_keeps_its_job(app, sent, caplog):
    row = _row(one_off=True)
    nowhere = Celery("nowhere", broker="redis://127.0.0.1:1/0", set_as_current=False)
    nowhere.conf.update(task_publish_retry=False, broker_connection_timeout=0.2, beat_schedule={})
    _tick(Scheduler(nowhere))
    assert "Failed to publish schedule Clean" in caplog.text
    after = PeriodicTask.objects.get()
    assert (after.enabled, after.last_run_at, after.total_run_count) == (True, row.last_run_at, 0)
    _tick(Scheduler(app))
    assert len(sent) == 2
    assert len({headers["id"] for _, headers in sent}) == 1


def test_nothing_but_what_changed_is_read_again(app, django_assert_num_queries, monkeypatch):
    # What is asked every few seconds is asked once, however long this takes.
    monkeypatch.setattr("jobroom.schedules.held_runs.ABANDONED", 3600.0)
    monkeypatch.setattr("jobroom.schedules.backfill_runs.IDLE", 3600.0)
    for number in range(20):
        _row(f"Row {number}", ago=0)
    scheduler = Scheduler(app)
    _tick(scheduler)
    scheduler._checked_at = float("-inf")
    with django_assert_num_queries(2):  # what changed, and what waits
        scheduler.tick()
    PeriodicTasks.update_changed()
    scheduler._checked_at = float("-inf")
    with django_assert_num_queries(5):  # the marks, all rows, and when the next pause ends
        scheduler.tick()
    PeriodicTask.objects.get(name="Row 7").save()
    scheduler._checked_at = float("-inf")
    with django_assert_num_queries(5):  # the same, with one row
        scheduler.tick()


@pytest.mark.skipif(connection.vendor != "sqlite", reason="holds SQLite's write lock")
def test_a_locked_database_holds_a_run_back_and_does_not_lose_it(app, sent, caplog, monkeypatch):
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "timeout", 0.05)
    connection.close()
    _row()
    scheduler = Scheduler(app)
    scheduler._refresh()
    other = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        _tick(scheduler)
        assert "Schedule Clean: the database is unavailable: database is locked" in caplog.text
        assert sent == []
    finally:
        other.close()
    wait_until(lambda: scheduler.tick() >= 0 and sent)
    _tick(scheduler)
    assert _names(sent) == ["Clean"]
    connection.close()


@pytest.mark.parametrize("part", ["skipped", "refusal_of"])
def test_a_run_whose_rights_cannot_be_asked_is_not_lost(app, sent, caplog, monkeypatch, part):
    """The database goes away right after the run was claimed, and answers again two looks later."""
    _row()
    place = pauses if part == "skipped" else services
    real, away = getattr(place, part), [DatabaseGone("away")]
    back, gone = RowEntry.give_back, [DatabaseGone("away")]
    monkeypatch.setattr(place, part, lambda row: _raise(away) or real(row))
    monkeypatch.setattr(RowEntry, "give_back", lambda self: _raise(gone) or back(self))
    scheduler = Scheduler(app)
    _tick(scheduler)
    assert "Schedule Clean waits, a server is unavailable: away" in caplog.text
    assert sent == []
    wait_until(lambda: scheduler.tick() >= 0 and sent)
    _tick(scheduler)
    assert _names(sent) == ["Clean"]
    assert PeriodicTask.objects.get().total_run_count == 1


def _raise(errors):
    if errors:
        raise errors.pop()


@pytest.mark.skipif(connection.vendor != "sqlite", reason="holds SQLite's write lock")
def test_settings_are_merged_when_the_database_answers_at_last(app, monkeypatch):
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "timeout", 0.05)
    connection.close()
    app.conf.beat_schedule = {"Clean": {"task": TASK, "schedule": 60}}
    scheduler = Scheduler(app)
    other = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        assert scheduler.tick() > 0
    finally:
        other.close()
    wait_until(lambda: scheduler.tick() and PeriodicTask.objects.exists())
    connection.close()

"""Runs that are claimed and not sent yet, when a scheduler is killed, stands still or meets a bad row; in this process."""

import json
import time
from datetime import timedelta
from unittest import mock

import pytest
from django.db import DataError
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from jobroom import redis
from jobroom.celery import publisher, transport
from jobroom.schedules.entries import RowEntry
from jobroom.schedules.models import RunState, ScheduledRun
from jobroom.schedules.scheduler import Scheduler
from jobroom.schedules.services import policy, runs
from jobroom.testing import wait_until

# Beat closes connections between its looks, which no test transaction would survive.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sql]

TASK = "common.tasks.clearsessions"


@pytest.fixture(autouse=True)
def _empty():
    redis.client().flushdb()


def _row(name="Clean", **given):
    every, _ = IntervalSchedule.objects.get_or_create(every=3600, period="seconds")
    last = timezone.now() - timedelta(seconds=3605)
    row = PeriodicTask.objects.create(name=name, task=TASK, interval=every, last_run_at=last)
    if given:
        policy.change(row, by=None, given=given)
    return row


def _tick(scheduler):
    while scheduler.tick() == 0:
        pass


def _killed(app, monkeypatch):
    """Let a scheduler claim what is due and be killed before it sends anything."""

    def die(self, entry, producer):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Scheduler, "send", die)
        with pytest.raises(KeyboardInterrupt):
            _tick(Scheduler(app))


def _pass(seconds=60):
    """Let so much time pass for what is being sent."""
    ScheduledRun.objects.update(at=timezone.now() - timedelta(seconds=seconds))


def test_nothing_is_remembered_of_what_was_sent(app, sent):
    rows = [_row(f"Row {number}") for number in range(5)]
    _tick(Scheduler(app))
    assert sorted(name for name, _ in sent) == [row.name for row in rows]
    assert not ScheduledRun.objects.exists()


def test_what_a_killed_scheduler_claimed_is_sent_by_another_as_the_same_jobs(app, sent, monkeypatch):
    rows = [_row(f"Row {number}") for number in range(3)]
    _killed(app, monkeypatch)
    assert sent == []
    claimed = {run.row_id: run.job for run in ScheduledRun.objects.all()}
    assert set(claimed) == {row.pk for row in rows}
    _tick(Scheduler(app))
    assert sent == []  # the other one may still be about to send them
    _pass()
    _tick(Scheduler(app))
    assert {headers["id"] for _, headers in sent} == set(claimed.values())
    assert len(sent) == 3
    kept = ScheduledRun.objects.values_list("state", "reason").distinct()
    assert list(kept) == [(RunState.SENT, "its scheduler was stopped while it sent it")]
    assert {row.total_run_count for row in PeriodicTask.objects.filter(task=TASK)} == {1}


@pytest.mark.parametrize("overlap", ["skip", "queue one", "queue all", "cancel old"])
def test_what_is_remembered_is_not_in_its_own_way(app, sent, overlap):
    _row(overlap=overlap)
    _tick(Scheduler(app))
    assert len(sent) == 1
    assert not ScheduledRun.objects.exists()


def test_a_run_that_is_skipped_takes_the_place_of_what_is_remembered(app, sent):
    row = _row(missed="skip")
    PeriodicTask.objects.filter(pk=row.pk).update(last_run_at=timezone.now() - timedelta(seconds=3600 + 300))
    _tick(Scheduler(app))
    assert sent == []
    assert [run.state for run in ScheduledRun.objects.all()] == [RunState.MISSED]


def test_a_scheduler_that_stood_still_gives_back_what_it_claimed(app, sent, monkeypatch):
    _row()
    with monkeypatch.context() as patch:
        patch.setattr(runs, "SENDS_FOR", timedelta(seconds=-1))
        Scheduler(app).tick()
    assert sent == []
    assert not ScheduledRun.objects.exists()
    _tick(Scheduler(app))
    assert len(sent) == 1
    assert PeriodicTask.objects.get(name="Clean").total_run_count == 1


def test_a_scheduler_that_stood_still_leaves_to_another_what_that_one_has_sent(app, sent, monkeypatch):
    _row()

    def stand_still(self, entry, producer):
        monkeypatch.undo()
        _pass()
        _tick(Scheduler(app))
        self._owe(entry)  # as where the broker does not answer
        return False

    monkeypatch.setattr(Scheduler, "apply_entry", stand_still)
    slow = Scheduler(app)
    slow.tick()
    assert len(sent) == 1
    wait_until(lambda: slow.tick() and not slow._owed)
    _tick(Scheduler(app))
    assert len(sent) == 1
    assert [run.state for run in ScheduledRun.objects.all()] == [RunState.SENT]
    assert PeriodicTask.objects.get(name="Clean").total_run_count == 1


def test_a_row_that_cannot_be_claimed_holds_up_no_other(app, sent, monkeypatch, caplog):
    for number in range(5):
        _row(f"Row {number}")
    real = RowEntry.prepare

    def prepare(self, at):
        if self.name == "Row 2":
            raise DataError("value too long")
        return real(self, at)

    monkeypatch.setattr(RowEntry, "prepare", prepare)
    _tick(Scheduler(app))
    assert sorted(name for name, _ in sent) == ["Row 0", "Row 1", "Row 3", "Row 4"]
    assert "Schedule Row 2 cannot be claimed" in caplog.text
    assert {row.total_run_count for row in PeriodicTask.objects.exclude(name="Row 2").filter(task=TASK)} == {1}


def test_what_is_due_together_is_claimed_together(app, sent, django_assert_max_num_queries):
    for number in range(20):
        _row(f"Row {number}")
    scheduler = Scheduler(app)
    scheduler._refresh()
    with django_assert_max_num_queries(12):
        while len(sent) < 20:
            scheduler.tick()


@pytest.fixture
def connected(app):
    """Let the process be connected to its broker, so that messages go to it together."""
    app.send_task("any")
    redis.client().flushdb()


def _waiting(queue="default"):
    """Return the ids of the jobs in a queue."""
    return [json.loads(text)["headers"]["id"] for text in redis.client().lrange(queue, 0, -1)]


def _rows(number=5):
    return [_row(f"Row {number}") for number in range(number)]


def test_what_is_due_together_is_published_together(app, sent, connected, monkeypatch):
    rows = _rows(20)
    trips = []
    real = transport.PublishBatch._execute_all
    monkeypatch.setattr(transport.PublishBatch, "_execute_all", lambda self: trips.append(self.number) or real(self))
    _tick(Scheduler(app))
    assert trips == [20]
    assert sorted(_waiting()) == sorted(headers["id"] for _, headers in sent)
    assert len(sent) == len(rows)
    assert not ScheduledRun.objects.exists()


def test_a_broker_that_is_lost_while_all_are_published_loses_none(app, sent, connected, caplog):
    _rows()
    scheduler = Scheduler(app)
    with mock.patch("redis.client.Pipeline.execute", side_effect=redis.LostError[0]("gone")):
        while not sent:
            scheduler.tick()
    assert _waiting() == []
    assert "Failed to publish schedule Row 3, the broker is unavailable: gone" in caplog.text
    assert not ScheduledRun.objects.exists()
    wait_until(lambda: scheduler.tick() >= 0 and len(_waiting()) == 5)
    _tick(scheduler)
    assert set(_waiting()) == {headers["id"] for _, headers in sent}, "the same jobs, each once"
    assert len(_waiting()) == 5
    assert {row.total_run_count for row in PeriodicTask.objects.filter(task=TASK)} == {1}


def test_a_message_that_the_broker_refuses_is_not_lost_and_holds_up_no_other(app, sent, connected):
    rows = _rows()
    PeriodicTask.objects.filter(pk=rows[2].pk).update(queue="broken")
    app.send_task("any", queue="broken")  # from now on the queue is known
    redis.client().delete("broken")
    redis.client().set("broken", "no list")
    scheduler = Scheduler(app)
    while not sent:
        scheduler.tick()
    assert len(set(_waiting())) == len(_waiting()) == 4
    redis.client().delete("broken")
    wait_until(lambda: scheduler.tick() >= 0 and _waiting("broken"))
    _tick(scheduler)
    assert (len(_waiting()), len(_waiting("broken"))) == (4, 1)


def test_a_row_that_its_task_refuses_is_dropped_from_what_goes_together(app, sent, connected, caplog):
    rows = _rows()
    PeriodicTask.objects.filter(pk=rows[2].pk).update(args="[1, 2, 3]")
    _tick(Scheduler(app))
    assert len(_waiting()) == 4
    assert "Schedule Row 2 could not send its job" in caplog.text
    assert not ScheduledRun.objects.exists()


def test_a_scheduler_that_stood_still_before_it_published_gives_all_back(app, sent, connected, monkeypatch):
    _rows()
    with monkeypatch.context() as patch:
        real = publisher.Together.report

        def stand_still(self):
            patch.setattr(time, "monotonic", lambda: clock() + runs.SENDS_FOR.total_seconds())
            real(self)

        clock = time.monotonic
        patch.setattr(publisher.Together, "report", stand_still)
        Scheduler(app).tick()
    assert _waiting() == []
    assert not ScheduledRun.objects.exists()
    _tick(Scheduler(app))
    assert len(_waiting()) == 5
    assert len({headers["id"] for _, headers in sent}) == 5


def test_what_was_made_is_published_when_beat_is_asked_to_stop(app, sent, connected, monkeypatch):
    _rows()
    real = Scheduler.send

    def stop(self, entry, producer):
        if len(sent) == 3:
            raise SystemExit
        real(self, entry, producer)

    with monkeypatch.context() as patch:
        patch.setattr(Scheduler, "send", stop)
        with pytest.raises(SystemExit):
            _tick(Scheduler(app))
    assert len(_waiting()) == 3
    assert ScheduledRun.objects.count() == 2, "the others are remembered"
    _pass()
    _tick(Scheduler(app))
    assert len(set(_waiting())) == len(_waiting()) == 5

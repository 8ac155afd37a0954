"""Runs that are claimed and not sent yet, when a scheduler is killed, stands still or meets a bad row; in this process."""

from datetime import timedelta

import pytest
from django.db import DataError
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from jobroom import redis
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

    def die(self, entry):
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

    def stand_still(self, entry):
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

"""A backfill is planned before its transaction, which looks whether all is as it was planned on."""

from datetime import timedelta

import pytest
from django_celery_beat.models import PeriodicTask

from jobroom.schedules.exceptions import NotNow
from jobroom.schedules.models import Backfill, BackfillState, ScheduledRun, SchedulePolicy
from jobroom.schedules.services import backfills
from jobroom.schedules.tests.test_backfills import DAY, NOW, _empty, _row, _start, clock
from jobroom.testing import transactions

__all__ = ["_empty", "clock"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sql]


def test_all_that_takes_long_is_done_before_the_transaction(monkeypatch):
    planned = transactions.noted(monkeypatch, backfills, "plan")
    counted = transactions.noted(monkeypatch, backfills.limits, "allow_launch")
    made = transactions.noted(monkeypatch, backfills, "_make")
    assert _start(_row()).total == 7
    assert (planned, counted, made) == ([False], [False], [True])


def _edited(row):
    PeriodicTask.objects.filter(pk=row.pk).update(date_changed=NOW + timedelta(microseconds=1))


def _given_back(row):
    """Do what a scheduler does that could not send the last run."""
    PeriodicTask.objects.filter(pk=row.pk).update(last_run_at=NOW - DAY)


def _has_another_policy(row):
    SchedulePolicy.objects.filter(row=row).update(overlap="allow")


def _backfilled(row):
    """Make one that is over at once."""
    Backfill.objects.create(row=row, since=NOW - DAY, until=NOW, state=BackfillState.DONE)


def _deleted(row):
    PeriodicTask.objects.filter(pk=row.pk).delete()


@pytest.mark.parametrize("happens", [_edited, _given_back, _has_another_policy, _backfilled, _deleted])
def test_what_changes_between_the_plan_and_the_transaction_makes_nothing(monkeypatch, happens):
    row = _row(overlap="skip")
    monkeypatch.setattr(backfills.limits, "allow_launch", lambda *_: happens(row))
    with pytest.raises(NotNow, match="changed at this moment: look at the range again"):
        _start(row)
    assert not ScheduledRun.objects.exists()


def test_a_run_that_takes_place_meanwhile_is_no_change(monkeypatch):
    row = _row()
    rows = PeriodicTask.objects.filter(pk=row.pk)
    monkeypatch.setattr(backfills.limits, "allow_launch", lambda *_: rows.update(last_run_at=NOW, total_run_count=1))
    assert _start(row).total == 7


def test_of_two_that_start_at_once_one_is_made(monkeypatch):
    row, others = _row(), []
    monkeypatch.setattr(backfills.limits, "allow_launch", lambda *_: others or others.append(1) or _start(row))
    with pytest.raises(NotNow, match="is not over"):
        _start(row)
    assert Backfill.objects.get().total == 7


def test_while_another_is_open_nothing_is_taken_from_what_the_person_may_launch(monkeypatch):
    row = _row()
    _start(row)
    counted = transactions.noted(monkeypatch, backfills.limits, "allow_launch")
    with pytest.raises(NotNow, match="is not over"):
        _start(row)
    assert not counted

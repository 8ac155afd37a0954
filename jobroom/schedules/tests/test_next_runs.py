"""The next runs, and the moment they are counted from."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask

from jobroom.schedules.exceptions import UnusableSchedule
from jobroom.schedules.services import next_runs, sentence

NOW = datetime(2026, 3, 10, 11, 20, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _noon():
    with time_machine.travel(NOW, tick=False):
        yield


def _row(**fields):
    return PeriodicTask(name="x", **{"date_changed": NOW, **fields})


def _crontab(**fields):
    return CrontabSchedule(**{"timezone": "UTC", **fields})


def _at(hour, minute=0, day=10):
    return datetime(2026, 3, day, hour, minute, tzinfo=UTC)


def test_a_crontab_comes_at_its_moments():
    row = _row(crontab=_crontab(minute="*/15"))
    assert next_runs(row, 3) == [_at(11, 30), _at(11, 45), _at(12)]


def test_a_crontab_counts_in_its_own_time_zone():
    row = _row(crontab=_crontab(minute="0", hour="9", timezone="America/New_York"))
    assert next_runs(row) == [_at(13)]  # summer time began two days ago


def test_the_clocks_going_forward_move_the_run_with_them():
    row = _row(crontab=_crontab(minute="30", hour="9", timezone="Europe/Berlin"))
    runs = next_runs(row, 25)
    berlin = {run.hour for run in (run.astimezone(row.crontab.timezone) for run in runs)}
    assert berlin == {9}
    assert {run.astimezone(UTC).hour for run in runs} == {8, 7}


def test_what_was_missed_is_made_up_once():
    row = _row(crontab=_crontab(minute="0"), last_run_at=NOW - timedelta(days=2))
    assert next_runs(row, 3) == [NOW, _at(12), _at(13)]


def test_an_interval_counts_from_its_last_run():
    row = _row(interval=IntervalSchedule(every=10, period="minutes"), last_run_at=NOW - timedelta(minutes=4))
    assert next_runs(row, 2) == [NOW + timedelta(minutes=6), NOW + timedelta(minutes=16)]


def test_a_start_time_is_the_first_run_of_an_interval_and_the_first_crontab_moment_follows_it():
    start = _at(15, 10)
    assert next_runs(_row(interval=IntervalSchedule(every=1, period="days"), start_time=start), 2) == [
        start,
        start + timedelta(days=1),
    ]
    assert next_runs(_row(crontab=_crontab(minute="10,40"), start_time=start), 2) == [start, _at(15, 40)]


def test_a_start_time_that_has_passed_changes_nothing():
    row = _row(interval=IntervalSchedule(every=1, period="hours"), start_time=NOW - timedelta(days=9))
    assert next_runs(row) == [NOW + timedelta(hours=1)]


def test_it_ends_when_it_expires():
    row = _row(crontab=_crontab(minute="0"), expires=_at(13, 30))
    assert next_runs(row, 9) == [_at(12), _at(13)]


def test_one_off_and_clocked_run_once_and_disabled_never():
    every = IntervalSchedule(every=1, period="hours")
    assert len(next_runs(_row(interval=every, one_off=True), 5)) == 1
    assert next_runs(_row(clocked=ClockedSchedule(clocked_time=_at(20)), one_off=True), 5) == [_at(20)]
    assert next_runs(_row(interval=every, enabled=False), 5) == []


@pytest.mark.parametrize(
    "row",
    [
        _row(),
        _row(crontab=_crontab(minute="nonsense")),
        _row(crontab=_crontab(day_of_month="30", month_of_year="2")),
        _row(interval=IntervalSchedule(every=10**12, period="days")),
    ],
)
def test_a_schedule_that_makes_no_sense_says_so(row):
    with pytest.raises(UnusableSchedule):
        next_runs(row)
    assert sentence(row)

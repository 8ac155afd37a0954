"""Rows that are changed by code, by clocks that were set, and rows that hold what no date can hold."""

import logging
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from celery.app import app_or_default
from celery.signals import before_task_publish
from django.utils import timezone
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask

from jobroom.schedules import services
from jobroom.schedules.scheduler import Scheduler
from jobroom.schedules.services import merge_settings
from jobroom.schedules.tests.test_scheduler import TASK, _names, _row, _tick

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def app(monkeypatch):
    app = app_or_default()
    monkeypatch.setitem(app.conf, "beat_schedule", {})
    yield app
    app.control.purge()


@pytest.fixture
def sent():
    found = []

    def collect(headers, **kwargs):
        found.append((headers["periodic_task_name"], headers))

    before_task_publish.connect(collect)
    yield found
    before_task_publish.disconnect(collect)


def _hourly(**fields):
    row = _row(**fields)
    crontab = CrontabSchedule.objects.create(minute="0")
    PeriodicTask.objects.filter(pk=row.pk).update(interval=None, crontab=crontab)
    return PeriodicTask.objects.get(pk=row.pk)


@pytest.mark.usefixtures("one_moment")
@pytest.mark.parametrize("only", [None, ["enabled"]])
def test_enabling_after_a_missed_hour_runs_nothing_at_once(app, sent, only):
    row = _hourly()
    PeriodicTask.objects.update(enabled=False)  # leaves the last run where it was
    row = PeriodicTask.objects.get()
    row.enabled = True
    row.save(update_fields=only)
    assert PeriodicTask.objects.get().last_run_at is None
    _tick(Scheduler(app))
    assert sent == []


@pytest.mark.usefixtures("one_moment")
def test_a_crontab_row_changed_by_code_counts_from_now(app, sent):
    row = _hourly()
    crontab = row.crontab
    crontab.minute = "30"
    crontab.save()
    assert PeriodicTask.objects.get().last_run_at is None
    _tick(Scheduler(app))
    assert sent == []


@pytest.mark.usefixtures("one_moment")
def test_a_crontab_row_saved_as_it_was_makes_up_what_was_missed(app, sent):
    _hourly().crontab.save()
    _tick(Scheduler(app))
    assert _names(sent) == ["Clean"]


def test_another_timing_by_code_counts_from_now_and_another_description_does_not(app, sent):
    row = _hourly()
    row.description = "Nightly"
    row.save()
    assert PeriodicTask.objects.get().last_run_at is not None
    row.crontab, row.interval = None, IntervalSchedule.objects.create(every=7, period="minutes")
    row.save()
    assert PeriodicTask.objects.get().last_run_at is None
    _tick(Scheduler(app))
    assert sent == []


def test_a_last_run_that_is_given_with_the_timing_is_kept():
    row = _hourly()
    row.enabled = False
    PeriodicTask.objects.update(enabled=False)
    row.enabled, row.last_run_at = True, timezone.now()
    row.save()
    assert PeriodicTask.objects.get().last_run_at == row.last_run_at


def test_a_row_that_was_read_before_its_run_does_not_undo_it(app, sent):
    stale = _row()
    _tick(Scheduler(app))
    stale.description = "written late"
    stale.save()
    row = PeriodicTask.objects.get()
    assert (row.description, row.total_run_count) == ("written late", 1)
    _tick(Scheduler(app))
    assert _names(sent) == ["Clean"]


# Clocks ------------------------------------------------------------------------------------------------------------------


def test_a_last_run_that_lies_ahead_counts_as_now_and_is_said_once(app, sent, caplog, admin_client):
    row = _row(seconds=60, ago=-7200)
    assert services.next_runs(row) == [pytest.approx(timezone.now() + timedelta(minutes=1), abs=timedelta(seconds=5))]
    for _ in range(3):
        _tick(Scheduler(app))
    assert sent == []
    assert len([record for record in caplog.records if "A clock was set back" in record.message]) == 1
    with time_machine.travel(timezone.now() + timedelta(seconds=61)):
        _tick(Scheduler(app))
    assert _names(sent) == ["Clean"]
    page = admin_client.get("/admin/django_celery_beat/periodictask/").content.decode()
    assert "A clock was set back: it had counted from" in page


def test_clocks_of_two_machines_may_differ_a_little(app, sent):
    _row(seconds=1, ago=-20)  # another machine, whose clock is ahead, has just run it
    _tick(Scheduler(app))
    assert sent == []
    assert PeriodicTask.objects.get().last_run_at is not None


def test_a_clock_that_is_set_while_beat_runs_holds_up_no_schedule(app, sent, caplog):
    now = datetime(2026, 11, 1, 12, tzinfo=UTC)
    with time_machine.travel(now, tick=False):
        _row("Early", seconds=600, ago=0)
        scheduler = Scheduler(app)
        _tick(scheduler)
    moved = scheduler._clock - 7200
    with time_machine.travel(now - timedelta(hours=2), tick=False):
        scheduler._clock = moved + 7200  # what it was before the step
        _tick(scheduler)
    with time_machine.travel(now - timedelta(hours=2) + timedelta(minutes=11), tick=False):
        scheduler._checked_at = float("-inf")
        scheduler._clock = float("inf")
        _tick(scheduler)
    assert _names(sent) == ["Early"]
    assert "The clock was set by" in caplog.text


# What no date can hold --------------------------------------------------------------------------------------------


def test_times_beyond_all_dates_are_said_once_and_disturb_nothing(app, sent, caplog, admin_client):
    centuries = IntervalSchedule.objects.create(every=2_900_000, period="days")  # a timedelta holds it, no date does
    far = ClockedSchedule.objects.create(clocked_time=datetime(9999, 12, 31, 23, 59, tzinfo=UTC))
    early = datetime(1, 1, 1, tzinfo=UTC)
    for name, fields in (
        ("Centuries", {"interval": centuries}),
        ("Far", {"interval": None, "clocked": far}),
        ("Early", {"interval": centuries, "start_time": early}),
    ):
        row = _row(name, ago=0)
        PeriodicTask.objects.filter(pk=row.pk).update(last_run_at=None, **fields)
    _row("Good")
    scheduler = Scheduler(app)
    with caplog.at_level(logging.INFO):
        for _ in range(4):
            scheduler._reload_soon()
            _tick(scheduler)
    assert _names(sent) == ["Good"]
    assert [record for record in caplog.records if record.levelno > logging.WARNING or record.exc_info] == []
    said = [record.message for record in caplog.records if "Centuries is left out" in record.message]
    assert len(said) == 1
    assert "3650 days" in said[0]
    page = admin_client.get("/admin/django_celery_beat/periodictask/")
    assert page.status_code == 200
    assert "✖ never" in page.content.decode()


def test_an_entry_of_centuries_in_the_settings_is_left_out(caplog):
    assert merge_settings({"Long": {"task": TASK, "schedule": timedelta(days=400_000)}}) == {}
    assert "write one of at most 3650 days" in caplog.text


@pytest.mark.parametrize(("every", "period"), [(2_900_000, "days"), (10**9, "hours")])
def test_an_interval_of_centuries_is_refused_at_the_form(admin_client, every, period):
    page = admin_client.post("/admin/django_celery_beat/intervalschedule/add/", {"every": every, "period": period})
    assert "from a tenth of a second to 3650 days" in page.content.decode()
    assert not IntervalSchedule.objects.exists()

"""Runs on days of calendars: skipped or moved, in this process."""

import datetime
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.contrib.auth.models import User
from django.utils import timezone
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask

from jobroom import redis
from jobroom.arguments import WrongArguments
from jobroom.audit.models import Act
from jobroom.schedules.exceptions import NotNow
from jobroom.schedules.filters import Row
from jobroom.schedules.models import Calendar, RunState, ScheduledRun
from jobroom.schedules.scheduler import Scheduler
from jobroom.schedules.services import calendars, closures, coming_runs, pauses, policy

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sql]

TASK = "common.tasks.clearsessions"
BERLIN = ZoneInfo("Europe/Berlin")
# A Thursday: Christmas is a Friday.
EVE = datetime.datetime(2026, 12, 24, 12, tzinfo=datetime.UTC)


@pytest.fixture(autouse=True)
def _empty():
    redis.client().flushdb()


def _calendar(days="2026-12-25 Christmas", name="Holidays"):
    return calendars.add(by=None, given={"name": name, "days": days})


def _row(line="0 6 * * *", last=None, zone="UTC", name="Clean", one_off=False, **given):
    minute, hour, day, month, week = line.split()
    when, _ = CrontabSchedule.objects.get_or_create(
        minute=minute, hour=hour, day_of_month=day, month_of_year=month, day_of_week=week, timezone=zone
    )
    last = last or timezone.now() - timedelta(seconds=5)
    row = PeriodicTask.objects.create(name=name, task=TASK, crontab=when, last_run_at=last, one_off=one_off)
    policy.change(row, by=None, given={"not_on": ["Holidays"], **given})
    return PeriodicTask.objects.select_related("crontab", "policy").get(pk=row.pk)


def _look(app):
    scheduler = Scheduler(app)
    while scheduler.tick() == 0:
        pass


def _at(text):
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC)


def _of(row):
    return [(run.due, run.state, run.reason) for run in ScheduledRun.objects.filter(row=row).order_by("due")]


def test_a_run_on_a_day_of_a_calendar_is_skipped_with_its_name(app, sent):
    _calendar()
    with time_machine.travel(_at("2026-12-25T06:00:01"), tick=False):
        row = _row(last=_at("2026-12-24T06:00:01"))
        _look(app)
    assert sent == []
    assert _of(row) == [(_at("2026-12-25T06:00"), RunState.SKIPPED, "skipped: Holidays (Christmas)")]
    with time_machine.travel(_at("2026-12-26T06:00:01"), tick=False):
        _look(app)
    assert [headers["schedule_due"] for _, headers in sent] == ["2026-12-26T06:00:00+00:00"]


def test_the_zone_of_the_schedule_decides_what_day_it_is(app, sent):
    _calendar()
    with time_machine.travel(_at("2026-12-24T23:30:01"), tick=False):
        there = _row("30 0 * * *", _at("2026-12-23T23:30:01"), zone="Europe/Berlin", name="There")
        _row("30 23 * * *", _at("2026-12-23T23:30:01"), name="Here")
        _look(app)
    assert [name for name, _ in sent] == ["Here"]
    assert [state for _, state, _ in _of(there)] == [RunState.SKIPPED]


def test_only_on_runs_on_those_days_alone(app, sent):
    _calendar("every Mon, Tue, Wed, Thu, Fri", "Working days")
    _calendar()
    with time_machine.travel(_at("2026-12-26T06:00:01"), tick=False):
        row = _row(last=_at("2026-12-23T06:00:01"), only_on=["Working days"], missed="all", missed_window=10**6)
        _look(app)
        _look(app)
    assert [(due.day, reason) for due, _, reason in _of(row) if reason.startswith("skipped")] == [
        (25, "skipped: Holidays (Christmas)"),
        (26, "skipped: not on Working days"),
    ]
    assert [headers["schedule_due"][:10] for _, headers in sent] == []  # what is made up waits: it is Saturday
    [held] = ScheduledRun.objects.filter(state=RunState.HELD)
    assert (held.due.day, held.not_before) == (24, _at("2026-12-28T00:00"))
    with time_machine.travel(_at("2026-12-28T00:00:01"), tick=False):
        _look(app)
    assert [headers["schedule_due"][:10] for _, headers in sent] == ["2026-12-24"]


def test_a_run_is_moved_to_the_same_time_of_the_next_open_day(app, sent):
    _calendar("2026-12-25 Christmas\nevery Sat, Sun")
    with time_machine.travel(_at("2026-12-25T06:00:01"), tick=False):
        row = _row("0 6 25 * *", _at("2026-11-25T06:00:01"), closed="move")
        _look(app)
        assert coming_runs.next_open(row) == _at("2026-12-28T06:00")
    assert _of(row) == [(_at("2026-12-25T06:00"), RunState.HELD, "moved to 2026-12-28 06:00 UTC: Holidays (Christmas)")]
    with time_machine.travel(_at("2026-12-28T05:59:59"), tick=False):
        _look(app)
        assert sent == []
    with time_machine.travel(_at("2026-12-28T06:00:01"), tick=False):
        _look(app)
        _look(app)
    assert [headers["schedule_due"] for _, headers in sent] == ["2026-12-25T06:00:00+00:00"]
    assert ScheduledRun.objects.get().state == RunState.SENT


def test_of_runs_that_would_be_moved_to_one_time_the_last_is_kept(app, sent):
    _calendar("2026-12-25 to 2026-12-26")
    with time_machine.travel(_at("2026-12-26T06:00:01"), tick=False):
        row = _row("0 6 25,26 * *", _at("2026-12-24T06:00:01"), closed="move")
        _look(app)
    assert [(due.day, state) for due, state, _ in _of(row)] == [(25, RunState.SKIPPED), (26, RunState.HELD)]
    assert "its next run comes before" in _of(row)[0][2]


def test_a_daily_run_is_not_moved_onto_its_next_one(app, sent):
    _calendar()
    with time_machine.travel(_at("2026-12-25T06:00:01"), tick=False):
        row = _row(last=_at("2026-12-24T06:00:01"), closed="move")
        _look(app)
    assert [state for _, state, _ in _of(row)] == [RunState.SKIPPED]


def test_a_freeze_by_the_clock_moves_to_its_end(app, sent):
    _calendar("2026-12-24 10:00 to 2026-12-24 14:30 Freeze")
    with time_machine.travel(EVE, tick=False):
        moment = ClockedSchedule.objects.create(clocked_time=EVE - timedelta(seconds=1))
        row = PeriodicTask.objects.create(
            name="Once", task=TASK, clocked=moment, one_off=True, last_run_at=EVE - timedelta(seconds=5)
        )
        policy.change(row, by=None, given={"not_on": ["Holidays"], "closed": "move"})
        _look(app)
        assert ScheduledRun.objects.get().not_before == _at("2026-12-24T14:30")
    with time_machine.travel(_at("2026-12-24T14:30:01"), tick=False):
        _look(app)
    assert len(sent) == 1


def test_a_run_that_waits_for_its_time_is_in_the_way_of_no_other(app, sent):
    _calendar("2026-12-25 Christmas\nevery Sat, Sun")
    with time_machine.travel(_at("2026-12-28T05:00:01"), tick=False):
        row = _row("0 5 25-31 12 *", _at("2026-12-27T05:00:01"), closed="move", overlap="skip")
        ScheduledRun.objects.create(
            row=row, due=_at("2026-12-25T05:00"), state=RunState.HELD, not_before=_at("2026-12-29T05:00")
        )
        _look(app)
    assert len(sent) == 1


def test_what_is_late_does_not_run_into_a_freeze(app, sent):
    """No scheduler ran for an hour; when one does, the freeze is on."""
    _calendar("2026-12-24 11:30 to 2026-12-24 14:00 Freeze")
    with time_machine.travel(EVE, tick=False):
        row = _row("0 11 * * *", _at("2026-12-23T11:00:01"))
        _look(app)
    assert sent == []
    assert [(state, reason) for _, state, reason in _of(row)] == [
        (RunState.HELD, "moved to 2026-12-24 14:00 UTC: Holidays (Freeze)")
    ]


def test_a_calendar_that_there_is_not_lets_nothing_run_and_says_so(app, sent):
    calendar = _calendar()
    with time_machine.travel(_at("2026-12-24T06:00:01"), tick=False):
        row = _row(last=_at("2026-12-23T06:00:01"))
        Calendar.objects.filter(pk=calendar.pk).delete()
        _look(app)
        assert "there is no calendar “Holidays”" in Row(row, None).problem
    assert sent == []
    assert [state for _, state, _ in _of(row)] == [RunState.SKIPPED]


def test_the_next_runs_are_marked_with_the_name_and_what_becomes_of_them():
    _calendar()
    with time_machine.travel(EVE, tick=False):
        daily, monthly = _row(), _row("0 6 25 * *", name="Monthly", closed="move")
        shown = coming_runs.upcoming(daily, 3)
        assert [run.closed for run in shown] == ["skipped: Holidays (Christmas)", "", ""]
        assert Row(daily, None).next_run == _at("2026-12-26T06:00")
        [first, *_] = coming_runs.upcoming(monthly, 3)
        assert (first.due, first.moved) == (_at("2026-12-25T06:00"), _at("2026-12-26T06:00"))
        assert Row(monthly, None).next_run == _at("2026-12-26T06:00")


def test_the_next_run_that_is_skipped_is_one_that_would_take_place():
    _calendar("2026-12-25 to 2026-12-26")
    with time_machine.travel(EVE, tick=False):
        row = _row()
        assert pauses.skip(row) == _at("2026-12-27T06:00")
        row = PeriodicTask.objects.select_related("crontab", "policy", "detail").get()
        assert Row(row, None).next_run == _at("2026-12-28T06:00")
        with pytest.raises(WrongArguments):
            pauses.skip(row, _at("2026-12-25T06:00"))


@pytest.mark.parametrize("every", [(1, "minutes"), (7, "seconds")])
def test_the_next_run_after_a_long_freeze_is_found_at_once(every):
    _calendar("2026-12-01 to 2027-02-28")
    with time_machine.travel(EVE, tick=False):
        interval = IntervalSchedule.objects.create(every=every[0], period=every[1])
        row = PeriodicTask.objects.create(name="Often", task=TASK, interval=interval, last_run_at=EVE)
        policy.change(row, by=None, given={"not_on": ["Holidays"]})
        row = PeriodicTask.objects.select_related("interval", "policy").get(pk=row.pk)
        found = coming_runs.next_open(row)
    assert _at("2027-03-01T00:00") <= found < _at("2027-03-01T00:01")


def test_a_calendar_that_never_opens_ends_the_search():
    _calendar("every Mon, Tue, Wed, Thu, Fri, Sat, Sun")
    with time_machine.travel(EVE, tick=False):
        row = _row(closed="move")
        assert coming_runs.next_open(row) is None
        assert closures.of(row).moved(EVE) is None


def test_clocks_that_change_do_not_change_the_day():
    """02:30 does not exist on 28 March 2027: the run takes place at 03:30, on the same day."""
    _calendar("2027-03-28 to 2027-03-28")
    with time_machine.travel(_at("2027-03-27T12:00"), tick=False):
        row = _row("30 2 * * *", zone="Europe/Berlin")
        first, second, *_ = coming_runs.upcoming(row, 3)
    assert first.due == datetime.datetime(2027, 3, 28, 3, 30, tzinfo=BERLIN)
    assert first.closed
    assert not second.closed


class TestCalendars:
    def test_a_name_that_there_is_not_is_refused_with_the_nearest(self):
        _calendar()
        with pytest.raises(WrongArguments, match="Did you mean “Holidays”"):
            _row(not_on=["Holyday"])
        with pytest.raises(WrongArguments, match="cannot be both"):
            _row(name="B", not_on=["Holidays"], only_on=["Holidays"])
        with pytest.raises(WrongArguments, match="list of names"):
            policy.check(TASK, {"not_on": "Holidays"})

    def test_a_new_name_is_followed_and_a_calendar_in_use_is_kept(self):
        chief = User.objects.create_superuser("chief")
        found, row = _calendar(), _row()
        assert calendars.change(found, by=chief, given={"name": "Feast days"}) == ["name"]
        row.policy.refresh_from_db()
        assert row.policy.not_on == ["Feast days"]
        found.refresh_from_db()
        with pytest.raises(NotNow, match="1 schedule follows it, such as “Clean”"):
            calendars.delete(found, by=chief)
        policy.change(row, by=chief, given={"not_on": []})
        calendars.delete(found, by=chief)
        acts = list(Act.objects.filter(kind="calendar").order_by("at").values_list("action", "target"))
        assert acts == [("changed", "Feast days"), ("deleted", "Feast days")]

    def test_names_are_unique(self):
        _calendar()
        with pytest.raises(WrongArguments, match="already"):
            _calendar()
        with pytest.raises(WrongArguments, match="already"):
            calendars.change(_calendar(name="Other"), by=None, given={"name": "Holidays"})

    def test_a_change_counts_at_the_next_run_without_another_word_to_beat(self, app, sent):
        found = _calendar("2026-12-31")
        with time_machine.travel(_at("2026-12-25T05:59:59"), tick=False) as traveller:
            row = _row(last=_at("2026-12-24T06:00:01"))
            scheduler = Scheduler(app)
            while scheduler.tick() == 0:
                pass
            calendars.change(found, by=None, given={"days": "2026-12-25"})
            traveller.move_to(_at("2026-12-25T06:00:01"))
            while scheduler.tick() == 0:
                pass
        assert sent == []
        assert [state for _, state, _ in _of(row)] == [RunState.SKIPPED]

"""Backfills in this process: what a range would make, and how its runs are sent."""

import datetime
import uuid
from datetime import timedelta

import pytest
import time_machine
from django.contrib.auth.models import User
from django.utils import timezone
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask

from jobroom import redis
from jobroom.arguments import WrongArguments
from jobroom.audit.models import Act
from jobroom.jobs.models import Job, Source, State
from jobroom.schedules import backfill_runs
from jobroom.schedules.exceptions import NotNow, NotSent
from jobroom.schedules.models import Backfill, BackfillState, RunState, ScheduledRun
from jobroom.schedules.scheduler import Scheduler
from jobroom.schedules.services import backfill_plan, backfills, calendars, failures, overlap, policy, runs
from jobroom.schedules.services.backfill_plan import Range, plan

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sql]

TASK = "common.tasks.clearsessions"
NOW = datetime.datetime(2026, 11, 29, 12, tzinfo=datetime.UTC)
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _empty():
    redis.client().flushdb()


@pytest.fixture(autouse=True)
def clock():
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


def _row(line="0 6 * * *", zone="UTC", last=None, name="Clean", **given):
    minute, hour, day, month, week = line.split()
    when = CrontabSchedule.objects.create(
        minute=minute, hour=hour, day_of_month=day, month_of_year=month, day_of_week=week, timezone=zone
    )
    last = last or NOW - timedelta(hours=6) + timedelta(seconds=1)
    row = PeriodicTask.objects.create(name=name, task=TASK, crontab=when, last_run_at=last)
    if given:
        policy.change(row, by=None, given=given)
    return PeriodicTask.objects.select_related("crontab", "interval", "policy").get(pk=row.pk)


def _at(text):
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC)


def _job(row, at, state=State.SUCCEEDED, source=Source.SCHEDULE, pk=None):
    end = at + timedelta(seconds=20)
    return Job.objects.create(
        id=pk or str(uuid.uuid4()), task=TASK, state=state, schedule=row.name, source=source, created_at=at,
        started_at=at, finished_at=end if state == State.SUCCEEDED else None,
    )  # fmt: skip


def _week(row, which="missing"):
    return plan(row, Range(_at("2026-11-23T00:00"), _at("2026-11-29T11:00"), which))


def _look(app, scheduler=None):
    scheduler = scheduler or Scheduler(app)
    scheduler._checked_at = scheduler._backfills._not_before = float("-inf")
    while scheduler.tick() == 0:
        pass


def _ends(state=State.SUCCEEDED):
    """Let all jobs that were sent end."""
    for run in ScheduledRun.objects.exclude(job=""):
        Job.objects.update_or_create(
            pk=run.job, defaults={"task": TASK, "state": state, "schedule": "Clean", "source": "schedule"}
        )


def _dues(sent):
    return [headers["schedule_due"][:10] for _, headers in sent]


class TestPlan:
    def test_what_ran_is_left_out_unless_it_is_asked_for(self):
        row = _row()
        _job(row, _at("2026-11-24T06:00:02"))
        _job(row, _at("2026-11-25T06:00:02"), State.FAILED)
        _job(row, _at("2026-11-26T06:00:02"), State.RUNNING)
        _job(row, _at("2026-11-27T09:00:00"), source=Source.PAGE)  # Run now is no run of a due time
        found = _week(row)
        assert (found.all, found.count, found.succeeded, found.failed, found.open) == (7, 4, 1, 1, 1)
        assert [due.day for due in found.dues] == [23, 27, 28, 29]
        assert [due.day for due in _week(row, "failed").dues] == [23, 25, 27, 28, 29]
        assert [due.day for due in _week(row, "all").dues] == [23, 24, 25, 27, 28, 29]

    def test_a_run_that_was_made_up_later_is_of_its_own_due_time(self):
        row = _row()
        job = _job(row, _at("2026-11-26T06:30:00"))
        ScheduledRun.objects.create(row=row, due=_at("2026-11-24T06:00"), state=RunState.SENT, job=job.pk)
        ScheduledRun.objects.create(row=row, due=_at("2026-11-25T06:00"), state=RunState.MISSED)
        found = _week(row)
        assert (found.succeeded, [due.day for due in found.dues]) == (1, [23, 25, 26, 27, 28, 29])

    def test_the_estimate_comes_from_the_history(self):
        row = _row()
        assert _week(row).takes(1) is None
        _job(row, _at("2026-11-24T06:00:02"))
        assert _week(row).takes(1) == 6 * 20
        assert _week(row).takes(3) == 40

    def test_intervals_count_from_the_beginning_of_the_range(self):
        every = IntervalSchedule.objects.create(every=6, period="hours")
        row = PeriodicTask.objects.create(name="Clean", task=TASK, interval=every, last_run_at=NOW)
        _job(row, _at("2026-11-28T07:30"))
        found = plan(row, Range(_at("2026-11-28T00:00"), _at("2026-11-28T23:00")))
        assert [due.hour for due in found.dues] == [0, 12, 18]

    def test_times_are_those_of_the_schedules_zone_and_a_skipped_hour_counts_once(self):
        row = _row("30 2 * * *", "Europe/Berlin", last=_at("2026-04-01T00:00"))
        with time_machine.travel(_at("2026-04-01T12:00"), tick=False):
            found = plan(row, Range(_at("2026-03-28T00:00"), _at("2026-03-30T12:00")))
        assert [due.isoformat() for due in found.dues] == [
            "2026-03-28T01:30:00+00:00", "2026-03-29T01:30:00+00:00", "2026-03-30T00:30:00+00:00",
        ]  # fmt: skip

    def test_what_the_scheduler_accounts_for_is_left_to_it(self):
        row = _row(last=_at("2026-11-27T06:00:01"))
        found = _week(row)
        assert [due.day for due in found.dues] == [23, 24, 25, 26, 27]
        assert "left to the scheduler" in found.notes[0]
        row.enabled = False
        assert [due.day for due in _week(row).dues][-2:] == [28, 29]

    def test_days_of_calendars_are_left_out(self):
        calendars.add(by=None, given={"name": "Weekend", "days": "every Sat, Sun"})
        found = _week(_row(not_on=["Weekend"]))
        assert (found.closed, [due.day for due in found.dues]) == (2, [23, 24, 25, 26, 27])

    def test_history_that_is_gone_is_said(self):
        found = plan(_row(), Range(_at("2026-10-01T00:00"), _at("2026-10-03T00:00")))
        assert "leave the history after 30 days" in found.notes[0]

    @pytest.mark.parametrize(
        ("since", "until", "field"),
        [("2026-12-01", "2026-12-02", "since"), ("2026-11-20", "2026-11-19", "until")],
    )
    def test_a_range_that_makes_no_sense_names_the_field(self, since, until, field):
        with pytest.raises(WrongArguments) as wrong:
            plan(_row(), Range(_at(since), _at(until)))
        assert list(wrong.value.errors) == [field]

    def test_the_number_is_limited_and_the_remedy_is_a_time(self, monkeypatch):
        monkeypatch.setattr(backfill_plan, "MOST", 3)
        with pytest.raises(
            WrongArguments, match="7 runs would be made, and 3 are the most: choose 2026-11-25 06:00:00"
        ):
            _week(_row())
        monkeypatch.setattr(backfill_plan, "LOOKED_AT", 5)
        with pytest.raises(WrongArguments, match="more than 5 due times: choose 2026-11-27 06:00:00 or earlier"):
            _week(_row(name="B"))

    def test_a_schedule_that_runs_once_has_no_range(self):
        once = ClockedSchedule.objects.create(clocked_time=NOW + DAY)
        row = PeriodicTask.objects.create(name="Once", task=TASK, clocked=once, one_off=True)
        with pytest.raises(NotNow, match="runs once"):
            _week(row)


def _start(row, **options):
    return backfills.start(row, Range(_at("2026-11-23T00:00"), _at("2026-11-29T11:00")), by=None, **options)


class TestSending:
    def test_so_many_at_a_time_the_oldest_first_each_with_its_due_time(self, app, sent):
        made = _start(_row(), at_once=2)
        assert made.total == 7
        _look(app)
        assert _dues(sent) == ["2026-11-23", "2026-11-24"]
        _look(app)
        assert len(sent) == 2
        for number in (4, 6, 7):
            _ends()
            _look(app)
            assert len(sent) == number
        assert _dues(sent) == [f"2026-11-{day}" for day in range(23, 30)]
        _ends()
        _look(app)
        made.refresh_from_db()
        assert made.state == BackfillState.DONE
        assert backfills.progress(made)["succeeded"] == 7
        assert len({headers["id"] for _, headers in sent}) == 7

    def test_the_newest_first(self, app, sent):
        _start(_row(), newest_first=True)
        _look(app)
        assert _dues(sent) == ["2026-11-29"]

    def test_of_two_schedulers_that_look_at_once_one_counts_and_sends(self):
        made = _start(_row(), at_once=2)
        stale = Backfill.objects.get(pk=made.pk)
        assert len(backfill_runs._take(made, [], 2)) == 2
        assert backfill_runs._take(stale, [], 2) == []

    def test_one_that_a_killed_scheduler_took_is_sent_under_the_same_id(self, app, sent, clock):
        made = _start(_row())
        [taken] = backfill_runs._take(made, [], 1)
        first, second = Scheduler(app), Scheduler(app)
        _look(app, first)
        assert sent == []  # it may be on its way
        clock.shift(timedelta(seconds=61))
        second._backfills._unseen = dict.fromkeys(Backfill.objects.get().in_flight, -1e9)
        second._held._abandoned_at = float("-inf")
        _look(app, second)
        assert [headers["id"] for _, headers in sent] == [backfill_runs.held_runs.job_id(taken)]
        assert _dues(sent) == ["2026-11-23"]

    def test_how_many_jobs_are_in_flight_costs_one_statement(self, app, django_assert_num_queries):
        row, looks = _row(), Scheduler(app)._backfills
        jobs = [_job(row, NOW, state).pk for state in (State.RUNNING, State.SUCCEEDED, State.QUEUED, State.FAILED)]
        with django_assert_num_queries(1):
            assert looks._flying([*jobs, "unseen"]) == [jobs[0], jobs[2], "unseen"]
        with django_assert_num_queries(0):
            assert looks._flying([]) == []

    def test_regular_runs_go_on_and_are_not_held_up(self, app, sent):
        row = _row(last=_at("2026-11-28T06:00:01"), overlap="skip")
        _start(row)
        assert overlap.decide(row, row.policy).state is None

    def test_a_policy_against_overlap_holds_for_both(self, app, sent):
        row = _row(overlap="skip")
        with pytest.raises(WrongArguments, match="give 1"):
            _start(row, at_once=2)
        _job(row, NOW, State.RUNNING)
        _start(row)
        _look(app)
        assert sent == []

    def test_it_waits_while_a_calendar_closes_the_schedule(self, app, sent, clock):
        calendars.add(by=None, given={"name": "Freeze", "days": "2026-11-29 11:00 to 2026-11-29 13:00"})
        _start(_row(not_on=["Freeze"]))
        _look(app)
        assert sent == []
        clock.move_to(_at("2026-11-29T13:00:01"))
        _look(app)
        assert len(sent) == 1

    def test_pause_resume_and_cancel(self, app, sent):
        row = _row()
        _job(row, _at("2026-11-23T06:00:02"), State.FAILED, pk="old")
        ScheduledRun.objects.create(row=row, due=_at("2026-11-29T06:00"), state=RunState.SENT, job="before")
        made = _start(row, at_once=1)
        backfills.pause(made, by=None)
        _look(app)
        assert sent == []
        with pytest.raises(NotNow, match="It is paused"):
            backfills.pause(made, by=None)
        backfills.resume(made, by=None)
        _look(app)
        assert len(sent) == 1
        assert "4 runs are not made" in backfills.cancel(made, by=None)
        _ends()
        _look(app)
        assert len(sent) == 1
        made.refresh_from_db()
        assert made.state == BackfillState.CANCELLED
        assert set(made.runs.values_list("state", flat=True)) == {RunState.SENT, RunState.SKIPPED}

    def test_what_ran_before_and_was_not_made_again_stays_what_it_was(self):
        row = _row()
        ScheduledRun.objects.create(row=row, due=_at("2026-11-25T06:00"), state=RunState.SENT, job="before")
        Job.objects.create(id="before", task=TASK, state=State.SUCCEEDED, schedule=row.name)
        made = backfills.start(row, Range(_at("2026-11-25T00:00"), _at("2026-11-25T12:00"), "all"), by=None)
        run = ScheduledRun.objects.get()
        assert (run.state, run.backfill_id) == (RunState.HELD, made.pk)
        backfills.cancel(made, by=None)
        run.refresh_from_db()
        assert (run.state, run.job) == (RunState.SENT, "before")

    @pytest.mark.parametrize("returned", [RunState.SENDING, RunState.HELD])
    def test_a_run_that_was_being_sent_while_it_was_cancelled_is_left_out(self, app, sent, returned):
        """Its scheduler was killed, or could not send it: it waits for no one, and may be made again."""
        row = _row()
        made = _start(row)
        run = made.runs.first()
        ScheduledRun.objects.filter(pk=run.pk).update(state=RunState.SENDING, at=NOW - DAY)
        backfills.cancel(made, by=None)
        ScheduledRun.objects.filter(pk=run.pk).update(state=returned)
        _look(app)
        run.refresh_from_db()
        assert (run.state, run.reason) == (RunState.SKIPPED, "skipped: the backfill was cancelled by the command line")
        assert sent == []
        assert _start(row).total == 7

    def test_only_the_latest_backfills_are_kept_and_their_runs_are_forgotten_like_others(self, monkeypatch):
        monkeypatch.setattr(runs, "BACKFILLS_KEPT", 1)
        monkeypatch.setattr(runs, "MOST_KEPT", 3)
        row = _row()
        for day in (23, 25, 27):
            asked = Range(_at(f"2026-11-{day}T00:00"), _at(f"2026-11-{day + 1}T12:00"))
            backfills.cancel(backfills.start(row, asked, by=None), by=None)
        last = _start(row)
        assert list(Backfill.objects.order_by("pk").values_list("state", flat=True)) == ["cancelled", "running"]
        assert last.runs.count() == 7
        assert ScheduledRun.objects.filter(backfill=None).count() <= 3

    def test_no_due_time_is_made_twice(self, app, sent):
        row = _row()
        made = _start(row)
        with pytest.raises(NotNow, match=f"Backfill {made.pk} of it is not over"):
            _start(row)
        backfills.cancel(made, by=None)
        assert _start(row).total == 7
        assert ScheduledRun.objects.count() == 7

    def test_another_count_than_was_seen_makes_nothing(self, monkeypatch):
        row, counted = _row(), []
        monkeypatch.setattr(backfills.limits, "allow_launch", lambda *_: counted.append(1))
        with pytest.raises(NotNow, match="7 runs by now, and not 6"):
            _start(row, seen=6)
        assert not ScheduledRun.objects.exists()
        assert not counted, "what is refused takes nothing from what the person may launch"

    def test_who_may_not_launch_its_task_makes_none(self, app, sent):
        row = _row()
        ann = User.objects.create_user("ann")
        with pytest.raises(NotSent):
            backfills.start(row, Range(_at("2026-11-23T00:00"), NOW), by=ann)
        chief = User.objects.create_superuser("chief")
        backfills.start(row, Range(_at("2026-11-23T00:00"), NOW), by=chief)
        assert Act.objects.get().action == "backfilled"
        User.objects.filter(pk=chief.pk).update(is_active=False)
        _look(app)
        assert sent == []
        assert "the account of chief is closed" in ScheduledRun.objects.get(state=RunState.SKIPPED).reason

    @pytest.mark.parametrize("enabled", [True, False])
    def test_failures_in_a_row_pause_it_too(self, app, sent, clock, enabled):
        row = _row(pause_after=2)
        PeriodicTask.objects.filter(pk=row.pk).update(enabled=enabled)
        made = _start(row, at_once=2)
        _look(app)
        Job.objects.bulk_create(
            Job(id=run.job, task=TASK, schedule="Clean", source="schedule", state=State.FAILED, finished_at=NOW)
            for run in ScheduledRun.objects.filter(state=RunState.SENT)
        )
        failures.look([headers["id"] for _, headers in sent])
        made.refresh_from_db()
        assert made.state == BackfillState.PAUSED
        assert "2 jobs in a row failed" in made.reason
        _look(app)
        assert len(sent) == 2
        clock.shift(timedelta(seconds=1))
        backfills.resume(made, by=None)
        failures.look([headers["id"] for _, headers in sent])
        made.refresh_from_db()
        assert made.state == BackfillState.RUNNING

    def test_a_paused_schedule_may_be_backfilled(self, app, sent):
        row = _row()
        PeriodicTask.objects.filter(pk=row.pk).update(enabled=False)
        row.refresh_from_db()
        _start(row)
        _look(app)
        assert len(sent) == 1
        assert timezone.now() == NOW

"""Runs that are delayed a little, so that schedules of the same time do not all start at once."""

import datetime
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.utils import timezone
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask

from jobroom import redis
from jobroom.arguments import WrongArguments
from jobroom.schedules import services
from jobroom.schedules.entries import RowEntry, take_all
from jobroom.schedules.exceptions import InvalidEntry
from jobroom.schedules.models import RunState, ScheduledRun, SchedulePolicy
from jobroom.schedules.scheduler import Scheduler
from jobroom.schedules.services import jitter, pauses, policy, runs, settings_schedules
from jobroom.schedules.services.next_runs import start_of, timing

# Beat closes connections between its looks, which no test transaction would survive.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sql]

TASK = "common.tasks.clearsessions"
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def _empty():
    redis.client().flushdb()


def _row(seconds=600, ago=timedelta(), name="Shear", **given):
    every, _ = IntervalSchedule.objects.get_or_create(every=1, period="hours")
    row = PeriodicTask.objects.create(name=name, task=TASK, interval=every, last_run_at=timezone.now() - ago)
    policy.change(row, by=None, given={"jitter": seconds, **given})
    return _again(row)


def _again(row):
    return PeriodicTask.objects.select_related("interval", "crontab", "policy", "detail").get(pk=row.pk)


def _look(app):
    scheduler = Scheduler(app)
    while scheduler.tick() == 0:
        pass
    return scheduler


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until a test moves it: a list of one moment."""
    found = [timezone.now()]
    monkeypatch.setattr(timezone, "now", lambda: found[0])
    monkeypatch.setattr("celery.schedules.BaseSchedule.now", lambda self: found[0])
    return found


class TestStart:
    def test_it_is_the_same_for_the_same_moment_and_at_most_the_jitter_later(self):
        row, other = _row(), _row(name="Feed")
        dues = [datetime.datetime(2026, 3, 10, hour, tzinfo=datetime.UTC) for hour in range(24)]
        starts = [start_of(row, timing(row), due) for due in dues]
        assert starts == [start_of(_again(row), timing(row), due) for due in dues]
        late = [start - due for start, due in zip(starts, dues, strict=True)]
        assert all(timedelta() <= one <= timedelta(seconds=600) for one in late)
        assert len(set(late)) == 24
        assert starts != [start_of(other, timing(other), due) for due in dues]

    def test_no_run_is_delayed_beyond_the_next_one(self):
        row = _row(seconds=86_400)
        due = timezone.now()
        starts = [start_of(row, timing(row), due + HOUR * number) for number in range(50)]
        assert starts == sorted(starts)
        assert all(start < due + HOUR * (number + 1) for number, start in enumerate(starts))

    def test_clocks_that_jump_make_it_no_longer(self):
        when = CrontabSchedule.objects.create(minute="30", hour="*", timezone="Europe/Rome")
        row = PeriodicTask.objects.create(name="Shear", task=TASK, crontab=when)
        policy.change(row, by=None, given={"jitter": 3600})
        row = _again(row)
        moment = datetime.datetime(2026, 3, 28, 23, tzinfo=datetime.UTC)
        for _ in range(6):
            due = timing(row).next_after(moment)
            late = start_of(row, timing(row), due).astimezone(datetime.UTC) - due.astimezone(datetime.UTC)
            assert timedelta() <= late <= HOUR
            moment = due

    def test_without_it_nothing_is_delayed(self):
        row = _row(seconds=0)
        assert not jitter.longest(row)
        assert services.next_runs(row)[0] == row.last_run_at + HOUR


class TestSending:
    def test_what_the_pages_show_is_what_is_sent(self, app, clock):
        """Ten hours of a scheduler."""
        row = _row()
        first, shown, found = row.last_run_at, services.next_runs(row, 10), []
        entry = RowEntry(row, app=app)
        for _ in range(10):
            state = entry.is_due()
            assert not state.is_due
            clock[0] += timedelta(seconds=state.next - 0.1)
            assert not entry.is_due().is_due
            clock[0] += timedelta(seconds=0.2)
            state = entry.is_due()
            assert state.is_due
            assert take_all([entry])
            found.append(clock[0])
            state = entry.state_after(state)
            entry = next(entry)
            assert entry.is_due().next == state.next
        assert all(timedelta() <= at - one < timedelta(seconds=1) for at, one in zip(found, shown, strict=True))
        assert _again(row).last_run_at == first + 10 * HOUR  # the delays do not add up

    def test_one_that_waits_for_its_delay_holds_up_no_other(self, app, sent):
        slow = _row(seconds=3600, ago=HOUR)
        assert services.next_runs(slow)[0] > timezone.now()
        every, _ = IntervalSchedule.objects.get_or_create(every=1, period="hours")
        PeriodicTask.objects.create(name="Feed", task=TASK, interval=every, last_run_at=timezone.now() - HOUR)
        _look(app)
        assert [name for name, _ in sent] == ["Feed"]

    def test_the_message_names_the_moment_at_which_it_was_due(self, app, sent):
        row = _row(ago=HOUR * 1.5)
        _look(app)
        [(_, headers)] = sent
        assert headers["schedule_due"] == (row.last_run_at + HOUR).isoformat()
        assert _again(row).last_run_at == row.last_run_at + HOUR

    def test_a_delayed_run_is_not_missed(self, app, clock):
        """However long its delay is; where missed runs are skipped, one that is a minute late is."""
        row = _row(seconds=3600, missed="skip")
        while start_of(row, timing(row), row.last_run_at + HOUR) - row.last_run_at < HOUR * 1.1:  # a long one
            row.last_run_at += timedelta(seconds=1)
        PeriodicTask.objects.update(last_run_at=row.last_run_at)
        due = row.last_run_at + HOUR
        start = start_of(row, timing(row), due)
        for late, sent in ((timedelta(seconds=1), due), (timedelta(seconds=61), None)):
            clock[0] = start + late
            entry = RowEntry(_again(row), app=app)
            assert entry.is_due().is_due
            assert take_all([entry])
            plan = runs.plan(row, entry.dues, older=entry.older, now=entry.claim.at)
            assert plan.now == sent
            entry.give_back()

    def test_the_newest_of_several_waits_for_its_delay(self, app, sent):
        row = _row(seconds=3600, ago=HOUR * 3)
        last = row.last_run_at
        _look(app)
        # Three hours are due; the third is sent when its delay has passed, so the second stands for those before.
        assert [headers["schedule_due"] for _, headers in sent] == [(last + 2 * HOUR).isoformat()]
        assert [run.state for run in ScheduledRun.objects.all()] == [RunState.MISSED]
        assert _again(row).last_run_at == last + 2 * HOUR

    def test_one_of_them_is_left_out(self, app, sent):
        row = _row(seconds=3600, ago=HOUR * 4, missed="all")
        starts = [start_of(row, timing(row), row.last_run_at + HOUR * number) for number in (1, 2, 3)]
        pauses._detail(row, skip_at=starts[1])
        _look(app)
        skipped = ScheduledRun.objects.get(state=RunState.SKIPPED)
        assert skipped.due == row.last_run_at + 2 * HOUR

    def test_a_claim_is_given_back(self, app):
        row = _row(ago=HOUR * 1.5)
        entry = RowEntry(row, app=app)
        before = row.last_run_at
        assert take_all([entry])
        entry.give_back()
        assert _again(row).last_run_at == before


class TestFaces:
    def test_what_cannot_be_kept(self):
        row = _row()
        with pytest.raises(WrongArguments, match="jitter"):
            policy.change(row, by=None, given={"jitter": 86_401})
        once = ClockedSchedule.objects.create(clocked_time=timezone.now() + HOUR)
        late = PeriodicTask.objects.create(name="Once", task=TASK, clocked=once, one_off=True)
        with pytest.raises(WrongArguments) as wrong:
            policy.change(late, by=None, given={"jitter": 60})
        assert wrong.value.errors == {"jitter": ["Only runs of an interval or a crontab can be delayed: give 0."]}

    def test_settings(self):
        entry = {"task": TASK, "schedule": 3600, "policy": {"jitter": timedelta(minutes=5), "pause_after": 3}}
        settings_schedules.merge_settings({"Shear": entry})
        assert SchedulePolicy.objects.values_list("jitter", "pause_after").get() == (300, 3)
        with pytest.raises(InvalidEntry, match="jitter"):
            settings_schedules.read(entry | {"policy": {"jitter": 10**6}})

    def test_page_and_api(self, client):
        client.force_login(User.objects.create_superuser("chief"))
        row = _row()
        shown = client.get(f"/api/schedules/{row.pk}/").json()
        assert shown["policy"]["jitter"] == 600
        assert shown["next_runs"] == [moment.isoformat() for moment in services.next_runs(row, 10)]
        assert "up to 600 s, as the next runs show" in client.get(f"/schedules/{row.pk}/").content.decode()
        given = {"policy-overlap": "allow", "policy-missed": "once", "policy-jitter": "30"}
        assert client.post(f"/schedules/{row.pk}/policy/", given).status_code == 303
        assert SchedulePolicy.objects.get().jitter == 30

    def test_command(self, capsys):
        _row()
        call_command("schedules", "policy", "Shear", "--jitter", "90")
        assert "jitter: 90" in capsys.readouterr().out

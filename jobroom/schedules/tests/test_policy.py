"""What becomes of runs that overlap or were missed, in this process."""

import datetime
import itertools
import uuid
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from jobroom import events, redis
from jobroom.arguments import WrongArguments
from jobroom.audit.models import Act
from jobroom.events import cancellation
from jobroom.jobs.models import Job, State
from jobroom.schedules.models import RunState, ScheduledRun, SchedulePolicy
from jobroom.schedules.scheduler import Scheduler
from jobroom.schedules.services import policy, runs
from jobroom.schedules.services.due_times import due_times
from jobroom.schedules.services.next_runs import timing

# Beat closes connections between its looks, which no test transaction would survive.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sql]

TASK = "common.tasks.clearsessions"


@pytest.fixture(autouse=True)
def _empty():
    redis.client().flushdb()


def _row(name="Clean", seconds=3600, ago=3605, **given):
    every, _ = IntervalSchedule.objects.get_or_create(every=seconds, period="seconds")
    last = timezone.now() - timedelta(seconds=ago)
    row = PeriodicTask.objects.create(name=name, task=TASK, interval=every, last_run_at=last)
    if given:
        policy.change(row, by=None, given=given)
    return row


def _look(app, times=1):
    """Let a scheduler that has just started send what is due, and what need not wait any longer."""
    for _ in range(times):
        scheduler = Scheduler(app)
        while scheduler.tick() == 0:
            pass


def _due_again(row, ago=3605):
    PeriodicTask.objects.filter(pk=row.pk).update(last_run_at=timezone.now() - timedelta(seconds=ago))


def _busy(row, state=State.RUNNING):
    return Job.objects.create(id=str(uuid.uuid4()), task=TASK, state=state, schedule=row.name)


def _ends(job, state=State.SUCCEEDED):
    Job.objects.filter(pk=job.pk).update(state=state, finished_at=timezone.now())


def _starts(job):
    events.emit("started", job.pk, task=TASK, execution="x")


def _finishes(job, state=State.SUCCEEDED):
    events.emit("finished", job.pk, task=TASK, execution="x", state=str(state))


def _of(row):
    return [(run.state, run.reason) for run in ScheduledRun.objects.filter(row=row).order_by("due")]


class TestOverlap:
    def test_runs_beside_the_old_job_where_nothing_was_chosen(self, app, sent):
        row = _row()
        _busy(row)
        _look(app)
        assert len(sent) == 1
        assert _of(row) == []

    @pytest.mark.parametrize(
        ("state", "words"),
        [
            (State.RUNNING, "is still running"),
            (State.QUEUED, "still waits in its queue"),
            (State.RETRYING, "is still to be tried again"),
        ],
    )
    def test_skip_says_which_job_is_in_the_way(self, app, sent, state, words):
        row = _row(overlap="skip")
        job = _busy(row, state)
        _look(app)
        assert sent == []
        assert _of(row) == [(RunState.SKIPPED, f"skipped: job {job.pk} {words}")]

    def test_skip_sends_once_the_old_job_has_ended(self, app, sent):
        row = _row(overlap="skip")
        _ends(_busy(row), State.FAILED)
        _look(app)
        assert len(sent) == 1
        assert _of(row) == []

    def test_an_end_that_no_recorder_has_written_counts(self, app, sent):
        row = _row(overlap="skip")
        job = _busy(row)
        _starts(job)
        _finishes(job)
        _look(app)
        assert len(sent) == 1

    def test_a_job_that_the_database_does_not_hold_yet_is_in_the_way(self, app, sent):
        """Beat has sent it, and the recorder has written nothing of it: the stream knows it."""
        row = _row(overlap="skip")
        _look(app)
        [(_, headers)] = sent
        assert not Job.objects.exists()
        _due_again(row)
        _look(app)
        assert len(sent) == 1
        assert _of(row) == [(RunState.SKIPPED, f"skipped: job {headers['id']} still waits in its queue")]

    def test_a_job_of_which_no_one_knows_any_more_is_not_in_the_way(self, app, sent):
        row = _row(overlap="skip")
        _look(app)
        redis.client().delete(events.stream())
        _due_again(row)
        _look(app)
        assert len(sent) == 2

    def test_queue_one_lets_one_run_wait_and_skips_the_next(self, app, sent):
        row = _row(overlap="queue one")
        job = _busy(row)
        _look(app)
        _due_again(row)
        _look(app)
        assert sent == []
        assert _of(row) == [
            (RunState.HELD, f"waits: job {job.pk} is still running"),
            (RunState.SKIPPED, f"skipped: job {job.pk} is still running, and one run waits already"),
        ]
        _ends(job)
        _look(app)
        held = ScheduledRun.objects.get(state=RunState.SENT)
        assert [headers["id"] for _, headers in sent] == [held.job]
        assert sent[0][1]["schedule_due"] == held.due.isoformat()

    def test_queue_all_sends_them_one_after_the_other(self, app, sent):
        row = _row(overlap="queue all")
        job = _busy(row)
        for _ in range(3):
            _look(app)
            _due_again(row)
        PeriodicTask.objects.filter(pk=row.pk).update(last_run_at=timezone.now())
        assert {state for state, _ in _of(row)} == {RunState.HELD}
        _ends(job)
        for number in range(1, 4):
            _look(app, times=2)  # the second finds the job that the first has sent, in the stream
            assert len(sent) == number
            done = Job(pk=sent[-1][1]["id"])
            _starts(done)
            _finishes(done)
        dues = [headers["schedule_due"] for _, headers in sent]
        assert dues == sorted(dues)

    def test_cancel_old_asks_it_to_end_and_sends_the_newest_then(self, app, sent):
        row = _row(overlap="cancel old")
        job = _busy(row)
        _starts(job)
        _look(app)
        _due_again(row)
        _look(app)
        assert sent == []
        assert cancellation.requested(job.pk)
        job.refresh_from_db()
        assert job.cancel_by == "a later run of its schedule"
        assert [state for state, _ in _of(row)] == [RunState.SKIPPED, RunState.HELD]
        _finishes(job, State.CANCELLED)
        _look(app)
        assert len(sent) == 1

    def test_cancel_old_takes_one_that_has_not_begun_out_at_once(self, app, sent):
        row = _row(overlap="cancel old")
        job = _busy(row, State.QUEUED)
        _look(app, times=2)
        assert cancellation.requested(job.pk)
        assert [state for state, _ in _of(row)] == [RunState.SENT]
        assert len(sent) == 1

    def test_a_pause_skips_what_waits(self, app, sent):
        row = _row(overlap="queue one")
        job = _busy(row)
        _look(app)
        PeriodicTask.objects.filter(pk=row.pk).update(enabled=False)
        _ends(job)
        _look(app)
        assert sent == []
        assert _of(row) == [(RunState.SKIPPED, "skipped: the schedule was paused while it waited")]

    def test_of_two_schedulers_one_sends_what_waited(self, app, sent):
        row = _row(overlap="queue one")
        job = _busy(row)
        _look(app)
        [run] = runs.first_held(10)
        _ends(job)
        assert runs.take(run)
        assert not runs.take(run)
        _look(app)
        assert sent == []
        ScheduledRun.objects.update(at=timezone.now() - timedelta(minutes=5))  # its scheduler was killed
        _look(app)
        assert len(sent) == 1

    def test_many_that_wait_keep_no_one_from_its_turn(self, app, sent, monkeypatch):
        monkeypatch.setattr("jobroom.schedules.held_runs.MOST_SCHEDULES", 2)
        rows = [_row(f"Row {number}", overlap="queue one") for number in range(5)]
        jobs = [_busy(row) for row in rows]
        _look(app)
        _ends(jobs[-1])
        scheduler = Scheduler(app)
        for _ in range(3):
            scheduler._checked_at = float("-inf")
            scheduler.tick()
        assert [name for name, _ in sent] == ["Row 4"]


class TestMissed:
    def test_one_is_made_up_and_the_others_are_listed(self, app, sent):
        row = _row(ago=4 * 3600 + 600)
        _look(app)
        assert len(sent) == 1
        listed = _of(row)
        assert [state for state, _ in listed] == [RunState.MISSED] * 3
        assert listed[0][1].startswith("missed: nothing could be sent at its time")
        assert listed[0][1].endswith("the newest is run in its place")

    def test_none_is_made_up(self, app, sent):
        row = _row(ago=4 * 3600 + 600, missed="skip")
        _look(app)
        assert sent == []
        assert [state for state, _ in _of(row)] == [RunState.MISSED] * 4

    def test_a_run_that_is_only_late_takes_place(self, app, sent):
        row = _row(ago=2 * 3600 + 30, missed="skip")
        _look(app)
        assert len(sent) == 1
        assert [state for state, _ in _of(row)] == [RunState.MISSED]

    def test_all_within_the_window_are_made_up_in_order(self, app, sent):
        row = _row(ago=4 * 3600 + 600, missed="all", missed_window=3 * 3600)
        _look(app, times=2)
        assert [state for state, _ in _of(row)] == [RunState.MISSED, *[RunState.SENT] * 3]
        dues = [datetime.datetime.fromisoformat(headers["schedule_due"]) for _, headers in sent]
        assert [late - early for early, late in itertools.pairwise(dues)] == [timedelta(hours=1)] * 2

    def test_made_up_runs_do_not_overlap_where_they_may_not(self, app, sent):
        row = _row(ago=4 * 3600 + 600, missed="all", overlap="skip")
        _look(app, times=2)
        assert len(sent) == 1
        assert [state for state, _ in _of(row)] == [RunState.SENT, *[RunState.HELD] * 3]

    def test_the_list_has_an_end_and_says_so(self, app, sent):
        row = _row(seconds=60, ago=86_400 * 30)
        _look(app)
        listed = _of(row)
        assert len(listed) == runs.MOST_LISTED
        assert listed[0][1].endswith("earlier ones are not listed")

    def test_what_was_missed_while_paused_is_not_listed(self, app, sent):
        row = _row(ago=4 * 3600)
        row.enabled = False
        row.save()
        row.enabled = True
        row.save()
        _look(app)
        assert (sent, _of(row)) == ([], [])

    def test_only_the_newest_rows_are_kept(self, monkeypatch):
        monkeypatch.setattr(runs, "MOST_KEPT", 3)
        row, now = _row(), timezone.now()
        for number in range(6):
            runs.write([runs.decided(row, now + timedelta(seconds=number), RunState.SKIPPED, f"skipped: {number}")])
        assert [reason for _, reason in _of(row)] == ["skipped: 3", "skipped: 4", "skipped: 5"]


class TestDueTimes:
    NOW = datetime.datetime(2026, 3, 10, 12, 0, 30, tzinfo=datetime.UTC)

    def times(self, minutes_ago, most=1000, **fields):
        row = PeriodicTask(name="x", task=TASK, crontab=CrontabSchedule(**fields))
        return due_times(row, timing(row), self.NOW - timedelta(minutes=minutes_ago), self.NOW, most)

    def test_of_a_crontab(self):
        found, older = self.times(31, minute="*/10")
        assert [moment.minute for moment in found] == [30, 40, 50, 0]
        assert not older

    def test_the_newest_of_many(self):
        found, older = self.times(60 * 24 * 365, most=5, minute="*")
        assert [moment.minute for moment in found] == [56, 57, 58, 59, 0]
        assert older

    def test_of_a_rare_one_far_back(self):
        found, older = self.times(60 * 24 * 700, minute="0", hour="0", day_of_month="1", month_of_year="1")
        assert [(moment.year, moment.month) for moment in found] == [(2025, 1), (2026, 1)]
        assert not older


class TestChange:
    def test_wrong_values_name_the_field_and_the_remedy(self):
        row = _row()
        with pytest.raises(WrongArguments) as wrong:
            policy.change(row, by=None, given={"overlap": "never", "missed_window": 5, "overlapp": "skip"})
        assert "Choose one of: allow, skip, queue one, queue all, cancel old." in wrong.value.errors["overlap"][0]
        assert wrong.value.errors["missed_window"] == ["Give a time from a minute to 366 days, in seconds."]
        assert "Did you mean “overlap”?" in wrong.value.errors["overlapp"][0]
        assert not SchedulePolicy.objects.exists()

    def test_of_a_task_without_a_history_nothing_is_known(self, app, monkeypatch):
        monkeypatch.setattr(app.tasks[TASK], "track", False, raising=False)
        monkeypatch.setattr(policy, "is_tracked", lambda task: False)
        with pytest.raises(WrongArguments, match="overlap"):
            policy.check(TASK, {"overlap": "skip"})

    def test_a_change_is_kept_in_the_audit_and_noticed_by_beat(self, app, sent):
        chief = User.objects.create_superuser("chief")
        row = _row(ago=0)
        scheduler = Scheduler(app)
        scheduler.tick()
        said = policy.change(row, by=chief, given={"overlap": "skip"})
        assert said == ["overlap from allow to skip"]
        act = Act.objects.get()
        assert (act.who, act.action, act.target, act.outcome) == ("chief", "changed the policy of", "Clean", said[0])
        scheduler._checked_at = float("-inf")
        scheduler.tick()
        assert scheduler.schedule[row.pk].model.policy.overlap == "skip"
        assert policy.change(row, by=chief, given={"overlap": "skip"}) == []


class TestFaces:
    def test_page(self, client):
        client.force_login(User.objects.create_superuser("chief"))
        row = _row()
        form = client.get(f"/schedules/{row.pk}/policy/")
        version = form.context["version"]
        answer = client.post(
            f"/schedules/{row.pk}/policy/", {"policy-overlap": "skip", "policy-missed": "once", "version": version}
        )
        assert answer.status_code == 303
        runs.write([runs.decided(row, timezone.now(), RunState.SKIPPED, "skipped: job 1 is still running")])
        shown = client.get(f"/schedules/{row.pk}/").content.decode()
        assert "Skipped: job 1 is still running." in shown
        assert "skip the run" in shown
        stale = client.post(
            f"/schedules/{row.pk}/policy/", {"policy-overlap": "allow", "policy-missed": "once", "version": version}
        )
        assert stale.status_code == 409
        assert SchedulePolicy.objects.get().overlap == "skip"
        bad = client.post(
            f"/schedules/{row.pk}/policy/",
            {"policy-overlap": "skip", "policy-missed": "all", "policy-missed_window": "1"},
        )
        assert bad.status_code == 422

    def test_api(self, client):
        client.force_login(User.objects.create_superuser("chief"))
        row = _row()
        address = f"/api/schedules/{row.pk}/policy/"
        shown = client.get(address)
        usual = {"overlap": "allow", "missed": "once", "missed_window": 86400, "pause_after": 0, "jitter": 0}
        assert shown.json() == usual | {"not_on": [], "only_on": [], "closed": "skip"}
        etag = shown.headers["ETag"]
        kind = {"content_type": "application/json"}
        assert client.patch(address, {"missed": "all"}, headers={"If-Match": etag}, **kind).json()["missed"] == "all"
        assert client.patch(address, {"missed": "skip"}, headers={"If-Match": etag}, **kind).status_code == 412
        wrong = client.patch(address, {"overlap": "never"}, **kind)
        assert wrong.status_code == 400
        assert "overlap" in wrong.json()["errors"]
        runs.write([runs.decided(row, timezone.now(), RunState.MISSED, "missed: x")])
        assert [run["state"] for run in client.get(f"/api/schedules/{row.pk}/runs/").json()] == ["missed"]
        assert client.get(f"/api/schedules/{row.pk}/").json()["policy"]["missed"] == "all"

    def test_command(self, capsys):
        row = _row()
        runs.write([runs.decided(row, timezone.now(), RunState.MISSED, "missed: x")])
        call_command("schedules", "policy", "Clean", "--overlap", "queue one")
        assert "overlap: queue one" in capsys.readouterr().out
        call_command("schedules", "runs", "Clean")
        assert "missed: x" in capsys.readouterr().out
        call_command("schedules", "list")
        assert "Clean" in capsys.readouterr().out
        with pytest.raises(CommandError, match="There is no schedule “Cleen”"):
            call_command("schedules", "pause", "Cleen")
        for part in ("pause", "resume", "skip", "run"):
            call_command("schedules", part, "Clean")
        with pytest.raises(CommandError, match="missed_window"):
            call_command("schedules", "policy", "Clean", "--missed-window", "1")

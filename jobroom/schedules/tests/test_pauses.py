"""Runs that do not take place: a policy pauses after failures, and a pause ends by itself."""

import itertools
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core.mail.backends.base import BaseEmailBackend
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask, PeriodicTasks

from jobroom import events, redis
from jobroom.audit.models import Act
from jobroom.jobs.models import Job, State
from jobroom.jobs.recorder import Recorder
from jobroom.notifications import delivery, submission
from jobroom.notifications.models import Mail
from jobroom.notifications.models import State as MailState
from jobroom.schedules import services
from jobroom.schedules.models import ScheduleDetail
from jobroom.schedules.scheduler import Scheduler
from jobroom.schedules.services import pauses, policy
from jobroom.signals import jobs_recorded

# Beat closes connections between its looks, which no test transaction would survive.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sql]

TASK = "common.tasks.clearsessions"
_number = itertools.count()


class Hanging(BaseEmailBackend):
    """Stands for a backend whose server does not answer."""

    def send_messages(self, email_messages):
        """Raise after a time that no recorder has."""
        assert not connection.in_atomic_block, "a transaction waits for it"
        raise TimeoutError("The server hangs.")


@pytest.fixture(autouse=True)
def _empty():
    redis.client().flushdb()


@pytest.fixture
def ada():
    return User.objects.create_user("ada", "ada@example.org", "x")


def _row(owner=None, after=3, name="Shear"):
    every, _ = IntervalSchedule.objects.get_or_create(every=1, period="hours")
    headers = f'{{"owner": {owner.pk}}}' if owner else "{}"
    row = PeriodicTask.objects.create(name=name, task=TASK, interval=every, headers=headers)
    if after:
        policy.change(row, by=None, given={"pause_after": after})
    return row


def _ends(row, *states, minute=None):
    """Let jobs of the schedule end one after the other, and the recorder say so."""
    for state in states:
        at = timezone.now() + timedelta(minutes=next(_number) if minute is None else minute)
        job = Job.objects.create(
            id=f"job-{next(_number)}",
            task=TASK,
            state=state,
            schedule=row.name,
            finished_at=at,
            error="ValueError: wool",
        )
        jobs_recorded.send(sender=None, job_ids=[job.pk], ended=[(job.pk, TASK, str(state))])
    return job


def _enabled(row):
    return PeriodicTask.objects.get(pk=row.pk).enabled


F, S, C, L = State.FAILED, State.SUCCEEDED, State.CANCELLED, State.LOST


class TestAfterFailures:
    def test_so_many_in_a_row_pause_it_and_its_owner_gets_one_mail(self, ada, client, mailoutbox):
        row = _row(ada)
        _ends(row, F, F)
        assert (_enabled(row), mailoutbox) == (True, [])
        last = _ends(row, F)
        assert not _enabled(row)
        _ends(row, F)  # of a job that was sent before
        delivery.send_left()
        [mail] = mailoutbox
        assert mail.to == ["ada@example.org"]
        assert mail.subject == "Schedule paused: Shear (3 jobs in a row failed)"
        assert "ValueError: wool" in mail.body
        assert f"/schedules/{row.pk}/" in mail.body
        act = Act.objects.get(action="paused")
        assert (act.who, act.target, act.outcome) == (
            "the policy of the schedule",
            "Shear",
            "Its owner ada is notified by mail.",
        )
        assert act.reason == f"3 jobs in a row failed, the last is {last.pk}"
        client.force_login(ada)
        shown = client.get(f"/schedules/{row.pk}/").content.decode()
        assert "Paused by its policy" in shown
        assert act.reason in shown

    @pytest.mark.parametrize(
        ("ends", "on"),
        [
            ((F, F, S, F, F), True),
            ((F, S, F, F, F), False),
            ((F, C, F, State.SKIPPED, L), False),  # neither a success nor a failure
            ((S, S, S, S), True),
            ((L, L, L), False),
        ],
    )
    def test_what_counts(self, ends, on):
        row = _row()
        _ends(row, *ends)
        assert _enabled(row) == on

    def test_the_order_of_their_ends_counts_and_not_that_in_which_they_are_heard_of(self):
        row = _row(after=2)
        _ends(row, S, minute=20)
        _ends(row, F, minute=10)
        _ends(row, F, minute=30)
        assert _enabled(row)
        _ends(row, F, minute=40)
        assert not _enabled(row)

    def test_a_success_that_no_recorder_has_written_counts(self):
        row = _row(after=2)
        _ends(row, F)
        busy = Job.objects.create(id="busy", task=TASK, state=State.RUNNING, schedule=row.name)
        events.emit("started", busy.pk, task=TASK, execution="x")
        events.emit("finished", busy.pk, task=TASK, execution="x", state=str(S))
        _ends(row, F, minute=-1)  # before it, and heard of after it
        assert _enabled(row)

    def test_without_such_a_policy_nothing_is_paused(self, mailoutbox):
        row = _row(after=0)
        _ends(row, *[F] * 20)
        assert (_enabled(row), mailoutbox) == (True, [])

    def test_other_schedules_are_left_alone(self):
        one, other = _row(after=2), _row(after=2, name="Feed")
        _ends(one, F)
        _ends(other, F)
        assert _enabled(one)
        _ends(one, F)
        assert (_enabled(one), _enabled(other)) == (False, True)

    @pytest.mark.parametrize("by", ["resume", "save", "admin"])
    def test_who_resumes_it_gives_it_as_many_tries_again(self, by, mailoutbox, settings):
        settings.ADMINS = [("Chief", "chief@example.org")]
        row = _row(after=2)
        _ends(row, F, F, minute=-1)
        row.refresh_from_db()
        if by == "resume":
            services.resume(row)
        elif by == "admin":
            services.set_enabled(PeriodicTask.objects.filter(pk=row.pk), enabled=True)
        else:
            row.enabled = True
            row.save()
        _ends(row, F)
        assert _enabled(row)
        _ends(row, F)
        assert not _enabled(row)
        delivery.send_left()
        assert len(mailoutbox) == 2

    def test_the_administrators_are_notified_of_a_schedule_of_the_site(self, mailoutbox, settings):
        settings.ADMINS = [("Chief", "chief@example.org"), ("Vice", "vice@example.org")]
        _ends(_row(after=1), F)
        delivery.send_left()
        assert mailoutbox[0].to == ["chief@example.org", "vice@example.org"]
        assert Act.objects.get(action="paused").outcome == "Each administrator is notified by mail."

    def test_the_audit_says_when_no_one_was_notified(self, mailoutbox, settings):
        settings.ADMINS = []
        row = _row(after=1)
        _ends(row, F)
        assert not _enabled(row)
        assert mailoutbox == []
        assert Act.objects.get(action="paused").outcome.startswith("No one was notified: its owner has no address")

    @pytest.mark.parametrize("backend", ["no.such.Backend", f"{__name__}.Hanging"])
    def test_a_mail_backend_is_never_called_by_who_pauses(self, ada, settings, backend):
        """It may hang or raise: the mail is a row of the same transaction, and leaves the outbox afterwards."""
        settings.EMAIL_BACKEND = backend
        row = _row(ada, after=1)
        _ends(row, F)
        assert not _enabled(row)
        assert "is notified by mail" in Act.objects.get(action="paused").outcome
        (mail,) = Mail.objects.all()
        assert (mail.state, mail.addresses) == (MailState.WAITING, ["ada@example.org"])
        delivery.send_left()
        mail.refresh_from_db()
        assert mail.state == MailState.WAITING
        assert "No module named" in mail.error or "hangs" in mail.error

    def test_a_mail_that_cannot_be_written_does_not_keep_it_running(self, ada, monkeypatch):
        monkeypatch.setattr(submission, "write", lambda *_, **__: 1 / 0)
        row = _row(ada, after=1)
        _ends(row, F)
        assert not _enabled(row)
        assert "could not be notified" in Act.objects.get(action="paused").outcome

    def test_the_link_has_the_path_of_the_site(self, ada, mailoutbox, settings):
        settings.JOBROOM = settings.JOBROOM | {"SITE_URL": "https://farm.example.org/room/"}
        row = _row(ada, after=1)
        _ends(row, F)
        delivery.send_left()
        assert f"https://farm.example.org/room/schedules/{row.pk}/" in mailoutbox[0].body

    def test_the_recorder_asks_when_a_job_has_ended(self, ada, mailoutbox):
        row = _row(ada, after=2)
        recorder = Recorder()
        for name in ("first", "second"):
            Job.objects.create(id=name, task=TASK, state=State.QUEUED, schedule=row.name)
            events.emit("started", name, task=TASK, execution=name)
            events.emit("finished", name, task=TASK, execution=name, state=str(F), error="ValueError: wool")
        while recorder.step():
            pass
        assert not _enabled(row)
        delivery.send_left()
        assert len(mailoutbox) == 1

    def test_what_cannot_be_kept(self, app, monkeypatch, client):
        client.force_login(User.objects.create_superuser("chief"))
        row = _row()
        address = f"/api/schedules/{row.pk}/policy/"
        for wrong in (-1, 101):
            answer = client.patch(address, {"pause_after": wrong}, content_type="application/json")
            assert answer.status_code == 400
            assert "pause_after" in answer.json()["errors"]
        assert client.patch(address, {"pause_after": 0}, content_type="application/json").json()["pause_after"] == 0
        monkeypatch.setattr(policy, "is_tracked", lambda task: False)
        answer = client.patch(address, {"pause_after": 1}, content_type="application/json")
        assert "not tracked" in answer.json()["errors"]["pause_after"][0]


class TestUntil:
    def look(self, scheduler):
        scheduler._checked_at = float("-inf")
        scheduler.tick()

    def test_it_runs_again_by_itself_and_makes_nothing_up(self, app, sent, ada):
        row, until = _row(ada), timezone.now() + timedelta(hours=1)
        scheduler = Scheduler(app)
        self.look(scheduler)
        services.pause(row, by=ada, reason="shearing", until=until)
        self.look(scheduler)
        assert not _enabled(row)
        assert scheduler.schedule == {}
        ScheduleDetail.objects.update(paused_until=timezone.now() - timedelta(seconds=1))  # the hour is over
        PeriodicTasks.update_changed()
        self.look(scheduler)
        self.look(scheduler)
        assert _enabled(row)
        assert list(scheduler.schedule) == [row.pk]
        assert sent == []
        detail = ScheduleDetail.objects.get()
        assert (detail.paused_until, detail.paused_by, detail.pause_reason) == (None, "", "")
        paused, resumed = Act.objects.order_by("pk").filter(kind="schedule", action__in=["paused", "resumed"])
        assert (paused.who, paused.reason) == ("ada", "shearing")
        assert paused.outcome.startswith("Until ")
        assert (resumed.who, resumed.target) == ("the schedule itself", "Shear")
        assert resumed.outcome.startswith("The pause of ada until ")

    def test_of_two_schedulers_one_resumes_it(self, ada):
        row = _row(ada)
        services.pause(row, by=ada, reason="", until=timezone.now() + timedelta(hours=1))
        ScheduleDetail.objects.update(paused_until=timezone.now() - timedelta(seconds=1))
        stale = ScheduleDetail.objects.select_related("row").get()
        pauses.resume_due()
        pauses._resume_due(stale)
        assert Act.objects.filter(action="resumed").count() == 1

    def test_a_person_who_pauses_it_again_is_not_overruled(self, ada):
        row = _row(ada)
        services.pause(row, by=ada, reason="", until=timezone.now() + timedelta(hours=1))
        ScheduleDetail.objects.update(paused_until=timezone.now() - timedelta(seconds=1))
        stale = ScheduleDetail.objects.select_related("row").get()
        services.resume(row)
        services.pause(row, by=ada, reason="for good")
        pauses._resume_due(stale)
        pauses.resume_due()
        assert not _enabled(row)

    def test_page(self, client, ada):
        client.force_login(ada)
        row = _row(ada)
        address = f"/schedules/{row.pk}/"
        wrong = client.post(f"{address}pause/", {"reason": "shearing", "until": "2020-01-01T10:00"})
        assert wrong.status_code == 422
        said = wrong.content.decode()
        assert "Give a time to come" in said
        assert 'value="shearing"' in said
        assert _enabled(row)
        until = timezone.localtime(timezone.now() + timedelta(days=2))
        answer = client.post(
            f"{address}pause/", {"reason": "shearing", "until": f"{until:%Y-%m-%dT%H:%M}"}, follow=True
        )
        assert "then it runs again" in answer.content.decode()
        assert ScheduleDetail.objects.get().paused_until == until.replace(second=0, microsecond=0)
        assert "until" in client.get("/schedules/").content.decode()
        client.post(f"{address}resume/")
        assert ScheduleDetail.objects.get().paused_until is None

    def test_api(self, client, ada):
        client.force_login(ada)
        address, kind = f"/api/schedules/{_row(ada).pk}/", {"content_type": "application/json"}
        wrong = client.post(f"{address}pause/", {"until": "2020-01-01T10:00:00Z"}, **kind)
        assert wrong.status_code == 400
        assert "Give a time to come" in wrong.json()["errors"]["until"][0]
        right = client.post(f"{address}pause/", {"until": "2030-01-01T10:00:00Z", "reason": "shearing"}, **kind)
        assert right.json()["paused_until"] == "2030-01-01T10:00:00Z"
        assert client.post(f"{address}resume/").json()["paused_until"] is None

    def test_command(self, capsys, ada):
        row = _row(ada)
        with pytest.raises(CommandError, match=r"2026-01-31T09:30\+01:00"):
            call_command("schedules", "pause", "Shear", "--until", "soon")
        with pytest.raises(CommandError, match="until: Give a time to come"):
            call_command("schedules", "pause", "Shear", "--until", "2020-01-01T10:00+00:00")
        call_command("schedules", "pause", "Shear", "--until", "2030-01-01T10:00+00:00", "--reason", "shearing")
        assert "until 2030-01-01T10:00:00+00:00" in capsys.readouterr().out
        assert not _enabled(row)
        call_command("schedules", "policy", "Shear", "--pause-after", "5")
        assert "pause_after: 5" in capsys.readouterr().out

"""Mails about failed jobs on their way into the outbox: neither lost nor sent twice, whatever dies."""

import importlib
import json
import threading
import time
from datetime import timedelta
from types import SimpleNamespace

import pytest
from celery import current_app
from celery.exceptions import OperationalError
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.core import mail as outgoing
from django.db import DatabaseError, connection
from django.utils import timezone

from jobroom import redis, signals
from jobroom.events import heartbeat
from jobroom.events.heartbeat import Worker
from jobroom.notifications import alert_delivery, alerts, content, delivery, failure_mails, receivers, submission
from jobroom.notifications.alert_models import AlertRule
from jobroom.notifications.models import Attempt, Mail, Outcome, State
from jobroom.tasks import failure_mail, outbox
from jobroom.testing import transactions, wait_until
from jobroom.testing.floods import end_floods

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sql]
MAILS = "django.core.mail.backends.locmem.EmailBackend.send_messages"


@pytest.fixture(autouse=True)
def _empty_box(settings):
    settings.ADMINS = [("Ada", "ada@example.org")]
    redis.client().flushdb()
    yield
    redis.client().flushdb()


@pytest.fixture
def queue(settings, monkeypatch):
    """Turn the queue on, and see what it is given; a worker that serves it is alive."""
    settings.JOBROOM = settings.JOBROOM | {"EMAIL_TRANSPORT": settings.EMAIL_BACKEND}
    settings.EMAIL_BACKEND = "jobroom.notifications.backends.QueuedBackend"
    worker = Worker("email@h/1", "email@h", "h", 1, ["email"], "prefork", 1, 0.0, [], [])
    monkeypatch.setattr(heartbeat, "workers", lambda: [worker])
    sent = []
    task = current_app.tasks[submission.DELIVER]
    monkeypatch.setattr(task, "apply_async", lambda args, task_id: sent.append((args[0], task_id)))
    return sent


@pytest.fixture
def broken_server(monkeypatch):
    def refuse(self, messages):
        raise ConnectionError("gone")

    monkeypatch.setattr(MAILS, refuse)


def failure(mail_id="m1", **more):
    mail = {"id": mail_id, "job": "j1", "task": "Weigh", "subject": "Error in weighing", "body": "b"}
    return {**mail, "fingerprint": "f", **more}


def event(status, mail_id="m1", **more):
    known = {"type": "mail", "at": time.time(), "mail": mail_id, "status": status, "recipients": ["ada@example.org"]}
    return {**failure(), **known, "error": "gone" if status == "failed" else "", **more}


# From the process of the job ----------------------------------------------------------------------------------------------
def test_it_takes_the_queue(queue):
    failure_mail._deliver(failure(), boxed=False)
    mail = Mail.objects.get()
    assert queue == [(str(mail.pk), mail.job_id)]
    assert (mail.failed_job, mail.task, mail.fingerprint) == ("j1", "Weigh", "f")
    assert (mail.may_repeat, mail.recipients, mail.state) == (True, "ada@example.org", State.WAITING)
    failure_mail._deliver(failure(), boxed=False)  # someone took it over meanwhile
    assert Mail.objects.count() == 1
    assert outgoing.outbox == []


def test_it_is_packed_before_the_transaction(queue, monkeypatch):
    packed = transactions.noted(monkeypatch, content, "pack")
    failure_mail._deliver(failure(), boxed=False)
    assert (packed, Mail.objects.count()) == ([False], 1)


def broken(what, monkeypatch, settings):
    def away(*args, **kwargs):
        raise redis.Error("away") if what == "redis" else OperationalError("away")

    if what == "no worker":
        monkeypatch.setattr(heartbeat, "workers", list)
    elif what == "redis":
        monkeypatch.setattr(heartbeat, "workers", away)
    elif what == "broker":
        monkeypatch.setattr(current_app.tasks[submission.DELIVER], "apply_async", away)
    else:
        settings.EMAIL_BACKEND = settings.JOBROOM["EMAIL_TRANSPORT"]


@pytest.mark.usefixtures("queue")
@pytest.mark.parametrize("what", ["no worker", "redis", "broker", "switched off"])
def test_past_a_queue_that_is_broken_it_goes_as_the_same_row(what, monkeypatch, settings):
    broken(what, monkeypatch, settings)
    failure_mail._deliver(failure(), boxed=False)
    (sent,) = outgoing.outbox
    assert (sent.subject, sent.body, sent.to) == ("Error in weighing", "b", ["ada@example.org"])
    mail = Mail.objects.get()
    assert (mail.state, mail.job_id, mail.failed_job) == (State.SENT, "", "j1")
    assert mail.attempt_set.get().by == heartbeat.instance()


@pytest.mark.usefixtures("broken_server")
def test_what_the_process_cannot_send_waits_for_the_recorder_without_a_job():
    failure_mail._deliver(failure(), boxed=False)
    mail = Mail.objects.get()
    assert (mail.state, mail.attempts, mail.error) == (State.WAITING, 1, "ConnectionError: gone")
    assert not delivery.left().exists()
    Mail.objects.update(next_try=timezone.now())
    assert delivery.left().get() == mail  # at once, not when it is overdue: no job would take it


def test_without_the_database_it_goes_out_and_the_recorder_hears_of_it(monkeypatch):
    def away(*args, **kwargs):
        raise DatabaseError("away")

    with monkeypatch.context() as patch:
        patch.setattr(submission, "write", away)
        failure_mail._deliver(failure(), boxed=False)
    assert len(outgoing.outbox) == 1
    ((_, entry),) = redis.client().xrange(redis.key("events"))
    mail = failure_mails.record(event=json.loads(entry["e"]))
    assert (mail.state, mail.delivered, mail.failed_job) == (State.SENT, ["ada@example.org"], "j1")


@pytest.mark.usefixtures("queue")
def test_the_process_that_forks_a_pool_leaves_the_database_alone(monkeypatch):
    monkeypatch.setattr(heartbeat, "forks_pool", lambda: True)
    failure_mail._deliver(failure(), boxed=False)
    assert len(outgoing.outbox) == 1
    assert not Mail.objects.exists()
    ((_, entry),) = redis.client().xrange(redis.key("events"))
    assert failure_mails.record(event=json.loads(entry["e"])).state == State.SENT


def test_a_database_that_goes_away_after_the_row_was_written_has_it_sent_once(monkeypatch):
    def away(*args, **kwargs):
        raise DatabaseError("away")

    with monkeypatch.context() as patch:
        patch.setattr(delivery, "deliver", away)
        failure_mail._deliver(failure(), boxed=False)
    assert outgoing.outbox == []
    assert delivery.send_left() == 1
    assert len(outgoing.outbox) == 1


@pytest.mark.usefixtures("queue")
def test_no_one_to_notify_is_a_state(settings):
    settings.ADMINS = []
    failure_mail._deliver(failure(), boxed=False)
    mail = Mail.objects.get()
    assert (mail.state, mail.next_try, mail.is_ended) == (State.NOBODY, None, True)
    assert "ADMINS" in mail.error


# From events --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("status", "state"), [("sent", State.SENT), ("failed", State.WAITING), ("nobody", State.NOBODY)]
)
def test_what_the_recorder_hears_is_one_row(status, state, settings):
    settings.ADMINS = [] if status == "nobody" else settings.ADMINS
    for _ in range(2):
        signals.event_recorded.send(sender=None, event=event(status))
    mail = Mail.objects.get()
    assert (mail.state, mail.failed_job, mail.subject) == (state, "j1", "Error in weighing")
    assert (mail.next_try is not None) == (status == "failed") == (mail.ended_at is None)
    assert (
        list(mail.attempt_set.values_list("outcome", flat=True))
        == ({"sent": [Outcome.SENT], "failed": [Outcome.LATER], "nobody": []}[status])
    )


def test_other_events_are_none_of_our_business():
    signals.event_recorded.send(sender=None, event={"type": "lock", "job": None, "at": 1.0})
    assert not Mail.objects.exists()


def test_a_slow_sender_that_managed_it_after_all_is_believed_and_never_taken_back():
    mail = failure_mails.record(event=event("failed"))
    Mail.objects.update(next_try=timezone.now())
    assert mail.take("recorder")  # its attempt has begun
    failure_mails.record(event=event("sent"))
    assert not mail.hand_over(["ada@example.org"])  # and ends before anything goes out
    failure_mails.record(event=event("failed"))
    mail.refresh_from_db()
    assert (mail.state, mail.next_try, mail.error) == (State.SENT, None, "")


# From Redis -----------------------------------------------------------------------------------------------------------------
@pytest.fixture
def left_behind(monkeypatch):
    """Put a mail into the box whose sender does nothing more."""
    monkeypatch.setattr(outbox, "LEASE", 0.1)
    outbox.admit(failure(), "run-1")


@pytest.mark.usefixtures("left_behind")
def test_a_mail_whose_sender_died_before_the_row_is_sent():
    wait_until(outbox.anything_due)
    assert failure_mails.collect() == 1
    assert (Mail.objects.get().state, len(outgoing.outbox)) == (State.SENT, 1)
    assert not outbox.anything_due()
    assert redis.client().hlen(redis.key("mail", "box")) == 0


@pytest.mark.usefixtures("left_behind")
@pytest.mark.parametrize("handed_over", [False, True])
def test_a_mail_whose_sender_died_in_the_middle_is_sent_without_waiting_for_its_claim(handed_over):
    mail, _ = failure_mails._write(failure(), job="")
    assert mail.take("worker@h/1")
    assert not handed_over or mail.hand_over(mail.pending)
    wait_until(outbox.anything_due)
    failure_mails.collect()
    mail.refresh_from_db()
    assert (mail.state, len(outgoing.outbox)) == (State.SENT, 1)
    assert not mail.conclude(State.FAILED) or mail.state == State.SENT


@pytest.mark.usefixtures("left_behind", "queue")
def test_a_mail_that_a_job_of_the_queue_is_sending_is_left_to_it():
    failure_mails.take(failure())  # the sender died before it could empty the box
    mail = Mail.objects.get()
    assert mail.take("mailer@h", mail.job_id)
    wait_until(outbox.anything_due)
    failure_mails.collect()
    assert outgoing.outbox == []
    assert mail.hand_over(mail.pending)  # its claim is untouched


@pytest.mark.usefixtures("left_behind")
def test_who_dies_while_taking_over_leaves_a_mail_that_is_taken_again_and_sent_once(monkeypatch):
    wait_until(outbox.anything_due)
    with monkeypatch.context() as patch:
        patch.setattr(outbox, "done", lambda mail_id: None)  # died after it was sent
        failure_mails.collect()
    wait_until(outbox.anything_due)
    failure_mails.collect()
    assert len(outgoing.outbox) == 1


@pytest.mark.usefixtures("broken_server")
def test_a_broken_server_is_asked_once_a_round(monkeypatch):
    monkeypatch.setattr(outbox, "LEASE", 0.1)
    for number in range(3):
        outbox.admit(failure(f"m{number}"), f"run-{number}")
    wait_until(lambda: redis.client().zcount(redis.key("mail", "due"), "-inf", time.time()) == 3)
    assert failure_mails.collect() == 3
    assert Mail.objects.count() == 3
    assert Attempt.objects.count() == 1


def test_a_flood_ends_as_one_summary():
    verdicts = [outbox.admit(failure(f"m{number}", job=f"j{number}"), f"run-{number}") for number in range(9)]
    assert verdicts == ["send"] * 5 + ["grouped"] * 4
    for number in range(5):
        outbox.done(f"m{number}")
    end_floods()
    assert failure_mails.collect() == 1
    assert failure_mails.collect() == 0
    mail = Mail.objects.get()
    assert (mail.subject, mail.state, mail.failed_job) == ("Error in weighing (4 more)", State.SENT, "")
    (sent,) = outgoing.outbox
    assert [f"/jobs/j{number}/" in sent.body for number in range(4, 10)] == [False, True, True, True, True, False]


# Housekeeping -----------------------------------------------------------------------------------------------------------------
@pytest.fixture
def postman(monkeypatch):
    """Replace the process' own, which cleans up some minutes after its start, in the middle of the tests."""
    monkeypatch.setattr(receivers, "postman", receivers.Postman())
    return receivers.postman


def test_housekeeping_sends_beside_the_recorder(postman):
    failure_mails.record(event=event("failed"))
    Mail.objects.update(next_try=timezone.now())
    signals.housekeeping.send(sender=None)
    wait_until(lambda: Mail.objects.filter(state=State.SENT).exists())
    thread = postman.thread
    thread.join()
    signals.housekeeping.send(sender=None)
    assert postman.thread is thread  # nothing to do, no new round


def test_an_alert_whose_webhook_hangs_holds_up_neither_the_recorder_nor_mails(postman, monkeypatch, admin_user):
    monkeypatch.setattr(receivers, "alarm", receivers.Alarm())
    answers = threading.Event()
    monkeypatch.setattr(alert_delivery, "_send", lambda row: answers.wait(60))
    rule = AlertRule.objects.create(owner=admin_user, what="missed", way="webhook")
    rule.deliveries.create(changes=[], is_test=True)
    failure_mails.record(event=event("failed"))
    Mail.objects.update(next_try=timezone.now())
    signals.housekeeping.send(sender=None)
    thread = receivers.alarm.thread
    try:
        wait_until(lambda: Mail.objects.filter(state=State.SENT).exists())
        assert thread.is_alive()
        signals.housekeeping.send(sender=None)
        assert receivers.alarm.thread is thread, "one at a time"
    finally:
        answers.set()
        thread.join(30)
    assert rule.deliveries.get().state == "sent"


def test_rules_of_alerts_are_looked_at_beside_the_recorder(monkeypatch, admin_user):
    monkeypatch.setattr(receivers, "alarm", receivers.Alarm())
    looked: list[str] = []
    monkeypatch.setattr(alerts, "look", lambda: looked.append(threading.current_thread().name))
    receivers.alarm.looks.at = 0.0
    signals.housekeeping.send(sender=None)
    assert receivers.alarm.thread is None, "no one has a rule"
    AlertRule.objects.create(owner=admin_user, what="missed")
    for _ in range(2):
        receivers.alarm.looks.at = 0.0 if not looked else receivers.alarm.looks.at
        signals.housekeeping.send(sender=None)
        receivers.alarm.thread.join(30)
    assert looked == ["alerts"], "not again before its time"


def test_housekeeping_deletes_what_is_old(postman, settings):
    settings.JOBROOM = settings.JOBROOM | {"NOTIFICATIONS_MAIL_KEPT_DAYS": 10}
    for name, days in (("old", 11), ("new", 9)):
        failure_mails.record(event=event("sent", name, at=(timezone.now() - timedelta(days=days)).timestamp()))
    postman.cleaning.at = 0.0
    signals.housekeeping.send(sender=None)
    postman.thread.join()
    assert Mail.objects.get().key == failure_mails.key_of("new")


@pytest.mark.usefixtures("postman")
def test_housekeeping_waits_for_redis(monkeypatch, caplog):
    def away():
        raise redis.Error("away")

    monkeypatch.setattr(outbox, "anything_due", away)
    signals.housekeeping.send(sender=None)
    assert "Redis is unavailable" in caplog.text


# The table that was -------------------------------------------------------------------------------------------------------------
class Rows(list):
    """As much of a manager as the migration asks for the table that is gone."""

    def __getattr__(self, name):
        return lambda *args, **kwargs: self

    def __call__(self):
        return self


def test_failure_mails_from_before_move_with_what_became_of_them_and_with_their_rights():
    now = timezone.now()
    known = {"subject": "Error", "recipients": ["ada@example.org"], "body": "trace", "job_id": "j1", "task": "Weigh"}
    known |= {"fingerprint": "f", "error": "", "attempts": 2, "created_at": now, "sent_at": None, "next_try": None}
    rows = Rows(
        SimpleNamespace(pk=state, **{**known, "state": state, **more})
        for state, more in (
            ("sent", {"sent_at": now}),
            ("failed", {"next_try": now, "error": "gone"}),
            ("nobody", {"recipients": []}),
        )
    )
    kind = ContentType.objects.create(app_label="jobroom_notifications", model="adminmail")
    old = Permission.objects.create(codename="resend_adminmail", name="x", content_type=kind)
    group = Group.objects.create(name="operators")
    group.permissions.add(old)
    migration = importlib.import_module("jobroom.notifications.migrations.0003_one_outbox")
    moved = [migration._fields(row) | {"key": failure_mails.key_of(row.pk)} for row in rows]
    mails = [Mail.objects.create(**fields) for fields in moved]
    assert [mail.state for mail in mails] == [State.SENT, State.WAITING, State.NOBODY]
    assert delivery.left().get() == mails[1]
    assert delivery.send_left() == 1
    assert (outgoing.outbox[0].body.strip(), outgoing.outbox[0].to) == ("trace", ["ada@example.org"])
    models = {"Permission": Permission, "ContentType": ContentType}
    migration._move_rights(SimpleNamespace(get_model=lambda app, name: models[name]))
    assert list(group.permissions.values_list("codename", flat=True)) == ["resend_mail"]
    assert connection.in_atomic_block is False
    assert content.read(mails[0])

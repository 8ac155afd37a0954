"""The list of mails, and those that go out later than they should."""

import json
import smtplib
import time
from datetime import timedelta

import pytest
from django.core import mail as outgoing
from django.utils import timezone

from jobroom import redis, signals
from jobroom.notifications import receivers, services
from jobroom.notifications.models import AdminMail, MailState
from jobroom.tasks import failure_mail, outbox
from jobroom.testing import wait_until

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _empty_box(settings):
    settings.ADMINS = [("Ada", "ada@example.org")]
    redis.client().flushdb()
    yield
    redis.client().flushdb()


@pytest.fixture
def broken_server(monkeypatch):
    def refuse(*args, **kwargs):
        raise smtplib.SMTPServerDisconnected("gone")

    monkeypatch.setattr(failure_mail, "send_mail_to_admins", refuse)


def event(status, mail_id="m1", **more):
    known = {"type": "mail", "job": "j1", "at": time.time(), "mail": mail_id, "task": "Weigh", "status": status}
    mail = {"subject": "Error in weighing", "recipients": ["ada@example.org"], "fingerprint": "f", "body": "b"}
    return {**known, **mail, "error": "gone" if status == "failed" else "", **more}


def boxed(mail_id="m1", **more):
    mail = {"id": mail_id, "job": "j1", "task": "Weigh", "subject": "Error in weighing", "body": "b"}
    return {**mail, "fingerprint": "f", **more}


def waiting(**more):
    known = {"id": "m1", "state": MailState.WAITING, "subject": "s", "body": "b", "job_id": "j1"}
    return AdminMail.objects.create(**{**known, "next_try": timezone.now(), **more})


@pytest.mark.parametrize("status", ["sent", "failed", "grouped", "nobody"])
def test_what_the_recorder_hears_is_listed_once(status):
    for _ in range(2):
        signals.event_recorded.send(sender=None, event=event(status))
    mail = AdminMail.objects.get()
    assert (mail.state, mail.job_id, mail.subject) == (status, "j1", "Error in weighing")
    assert (mail.sent_at is not None) == (status == "sent")
    assert (mail.next_try is not None) == (status == "failed")


def test_other_events_are_none_of_our_business():
    signals.event_recorded.send(sender=None, event={"type": "lock", "job": None, "at": 1.0})
    assert not AdminMail.objects.exists()


def test_a_slow_sender_that_managed_it_after_all_is_believed_and_never_taken_back():
    services.record(event=event("failed"))
    services.record(event=event("sent"))
    services.record(event=event("failed"))
    mail = AdminMail.objects.get()
    assert (mail.state, mail.next_try, mail.error) == (MailState.SENT, None, "")


def test_a_mail_that_failed_goes_out_when_its_time_has_come():
    services.record(event=event("failed"))
    assert services.send_due() == 0  # not yet
    AdminMail.objects.update(next_try=timezone.now())
    assert services.is_due()
    assert services.send_due() == 1
    assert not services.is_due()
    (sent,) = outgoing.outbox
    assert (sent.subject, sent.body, sent.to) == ("Error in weighing", "b", ["ada@example.org"])
    mail = AdminMail.objects.get()
    assert (mail.state, mail.attempts, mail.recipients) == (MailState.SENT, 2, ["ada@example.org"])


@pytest.mark.usefixtures("broken_server")
def test_pauses_grow_and_the_tries_are_bounded(settings):
    settings.JOBROOM = settings.JOBROOM | {"NOTIFICATIONS_MAIL_TRIES": 4}
    mail, pauses = waiting(), []
    for _ in range(4):
        AdminMail.objects.update(next_try=timezone.now())
        services.send_due()
        mail.refresh_from_db()
        pauses.append(round((mail.next_try - timezone.now()).total_seconds()) if mail.next_try else None)
    assert pauses == [30, 60, 120, None]
    assert (mail.state, mail.attempts) == (MailState.FAILED, 4)
    assert mail.error == "SMTPServerDisconnected: gone"


@pytest.mark.usefixtures("broken_server")
def test_a_broken_server_is_asked_once_a_round():
    for number in range(3):
        waiting(id=f"m{number}")
    services.send_due()
    assert AdminMail.objects.failed().count() == 1


def test_nobody_to_tell_is_no_reason_to_try_again(settings):
    settings.ADMINS = []
    waiting()
    assert services.send_due() == 0
    mail = AdminMail.objects.get()
    assert (mail.state, mail.next_try) == (MailState.NOBODY, None)
    assert "ADMINS" in mail.error


def test_two_senders_never_take_the_same_mail():
    first = waiting()
    second = AdminMail.objects.get()
    assert first.claim()
    assert not second.claim()
    assert AdminMail.objects.get().attempts == 1


def test_a_mail_that_was_left_behind_is_taken_over(monkeypatch):
    monkeypatch.setattr(outbox, "LEASE", 0.1)
    outbox.admit(boxed(), "run-1")
    wait_until(outbox.anything_due)
    assert services.send_due() == 1
    assert AdminMail.objects.get().state == MailState.SENT
    assert not outbox.anything_due()
    assert redis.client().hlen(redis.key("mail", "box")) == 0


def test_who_dies_while_taking_over_leaves_a_mail_that_is_taken_again(monkeypatch):
    monkeypatch.setattr(outbox, "LEASE", 0.1)
    outbox.admit(boxed(), "run-1")
    wait_until(outbox.anything_due)
    with monkeypatch.context() as patch:
        patch.setattr(outbox, "done", lambda mail_id: None)  # died with the row written
        services.collect()
    wait_until(outbox.anything_due)
    assert services.send_due() == 1
    assert len(outgoing.outbox) == 1


def test_a_flood_ends_as_one_summary(settings):
    settings.JOBROOM = settings.JOBROOM | {"FAILURE_MAIL_WINDOW": 4.0}
    verdicts = [outbox.admit(boxed(f"m{number}", job=f"j{number}"), f"run-{number}") for number in range(9)]
    assert verdicts == ["send"] * 5 + ["grouped"] * 4
    for number in range(5):
        outbox.done(f"m{number}")
    wait_until(outbox.anything_due)
    assert services.send_due() == 1
    assert services.send_due() == 0
    mail = AdminMail.objects.get()
    assert (mail.subject, mail.state, mail.job_id) == ("Error in weighing (4 more)", MailState.SENT, "")
    assert [f"/jobs/j{number}/" in mail.body for number in range(4, 10)] == [False, True, True, True, True, False]


def test_old_mails_are_deleted(settings):
    settings.JOBROOM = settings.JOBROOM | {"NOTIFICATIONS_MAIL_KEPT_DAYS": 10}
    services.record(event=event("sent", "old", at=(timezone.now() - timedelta(days=11)).timestamp()))
    services.record(event=event("sent", "new", at=(timezone.now() - timedelta(days=9)).timestamp()))
    assert services.clean() == 1
    assert AdminMail.objects.get().pk == "new"


@pytest.fixture
def postman(monkeypatch):
    """Replace the process' own, which cleans up some minutes after its start, in the middle of the tests."""
    monkeypatch.setattr(receivers, "postman", receivers.Postman())
    return receivers.postman


@pytest.mark.django_db(transaction=True)
def test_housekeeping_sends_beside_the_recorder(postman):
    waiting()
    signals.housekeeping.send(sender=None)
    wait_until(lambda: AdminMail.objects.filter(state=MailState.SENT).exists())
    thread = postman.thread
    thread.join()
    signals.housekeeping.send(sender=None)
    assert postman.thread is thread  # nothing to do, no new round


@pytest.mark.usefixtures("postman")
def test_housekeeping_waits_for_redis(monkeypatch, caplog):
    def away():
        raise redis.Error("away")

    monkeypatch.setattr(services, "is_due", away)
    signals.housekeeping.send(sender=None)
    assert "Redis is unavailable" in caplog.text


def test_an_event_is_what_failures_emit():
    failure_mail.emit({**boxed(), "kind": "mail"}, status="sent", recipients=[], error="")
    ((_, entry),) = redis.client().xrange(redis.key("events"))
    assert services.record(event=json.loads(entry["e"])).state == MailState.SENT

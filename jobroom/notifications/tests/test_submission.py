"""From Django's mail API into the database and to the queue."""

import os
import time
from datetime import timedelta

import pytest
from celery import current_app
from celery.exceptions import OperationalError
from django.core import mail as django_mail
from django.core.mail import EmailMessage, mail_admins, send_mail
from django.db import transaction
from django.utils import timezone

from jobroom import redis
from jobroom.events import heartbeat
from jobroom.events.heartbeat import Worker
from jobroom.notifications import content, submission
from jobroom.notifications.exceptions import KeyTaken, MailError, NotNow, WrongAddress
from jobroom.notifications.models import Mail, State

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sql]


@pytest.fixture(autouse=True)
def queue(settings, tmp_path, monkeypatch):
    """Turn the queue on, and see what it is given; a worker that serves it is alive."""
    settings.JOBROOM = settings.JOBROOM | {"EMAIL_TRANSPORT": settings.EMAIL_BACKEND}
    settings.EMAIL_BACKEND = "jobroom.notifications.backends.QueuedBackend"
    settings.MEDIA_ROOT = tmp_path
    settings.ADMINS = [("Ada", "ada@example.org")]
    worker = Worker("email@h/1", "email@h", "h", 1, ["email"], "prefork", 1, 0.0, [], [])
    monkeypatch.setattr(heartbeat, "workers", lambda: [worker])
    redis.client().flushdb()
    sent = []
    task = current_app.tasks[submission.DELIVER]
    monkeypatch.setattr(task, "apply_async", lambda args, task_id: sent.append((args[0], task_id)))
    yield sent
    redis.client().flushdb()


def message(**options):
    known = {"subject": "Hello", "body": "text", "to": ["Ada <ada@Example.ORG>"], "from_email": "room@example.org"}
    return EmailMessage(**known | options)


def test_djangos_mail_goes_to_the_queue(queue):
    assert send_mail("Hello", "text", None, ["ada@example.org"], html_message="<b>text</b>") == 1
    mail_admins("Oops", "text")
    first, second = Mail.objects.order_by("created_at")
    assert queue == [(str(first.pk), first.job_id), (str(second.pk), second.job_id)]
    assert (first.subject, first.recipients, first.state) == ("Hello", "ada@example.org", State.WAITING)
    assert first.key.startswith("<")  # the id of the message
    assert django_mail.outbox == []


def test_a_mail_is_queued_when_the_transaction_commits_and_not_if_it_does_not(queue):
    with transaction.atomic():
        message().send()
        assert queue == []
    assert len(queue) == 1
    with transaction.atomic():
        message().send()
        transaction.set_rollback(True)
    assert (len(queue), Mail.objects.count()) == (1, 1)


def test_the_same_key_is_the_same_mail(queue):
    for _ in range(3):
        assert message(headers={content.KEY: "invoice 7"}).send() == 1
    assert Mail.objects.get().key == "invoice 7"
    assert len(queue) == 1
    with pytest.raises(KeyTaken, match="invoice 7"):
        message(subject="Another", headers={content.KEY: "invoice 7"}).send()
    assert message(subject="Another", headers={content.KEY: "invoice 7"}).send(fail_silently=True) == 0


def test_the_header_of_the_key_does_not_leave_the_site():
    message(headers={content.KEY: "invoice 7", content.MAY_REPEAT: "yes"}).send()
    assert b"X-Mail" not in content.read(Mail.objects.get())


def test_a_wrong_recipient_does_not_keep_the_others_from_it(queue):
    message(to=["ada@example.org", "nonsense", "bob@intranet", "ada@example.org"]).send()
    mail = Mail.objects.get()
    assert (mail.pending, list(mail.refused)) == (["ada@example.org", "bob@intranet"], ["nonsense"])
    assert len(queue) == 1


def test_no_one_but_wrong_recipients_fails_at_once(queue):
    message(to=["nonsense", "a b@example.org"]).send()
    mail = Mail.objects.get()
    assert (mail.state, queue) == (State.FAILED, [])
    assert "“nonsense” is not an e-mail address" in mail.error
    with pytest.raises(NotNow, match="no recipient with a correct address"):
        submission.again(mail=mail, by="ada")


def test_a_wrong_sender_and_a_mail_without_end_are_refused(settings):
    with pytest.raises(WrongAddress, match="nobody"):
        message(from_email="nobody").send()
    settings.JOBROOM = settings.JOBROOM | {"NOTIFICATIONS_MAIL_LARGEST": 1000}
    with pytest.raises(MailError, match=r"NOTIFICATIONS_MAIL_LARGEST"):
        message(attachments=[("a.bin", b"x" * 1000, "application/octet-stream")]).send()
    assert not Mail.objects.exists()


def test_a_large_mail_is_a_file_and_goes_with_its_row(tmp_path):
    message(attachments=[("a.bin", os.urandom(100_000), "application/octet-stream")]).send()
    mail = Mail.objects.get()
    assert mail.content is None
    (path,) = (tmp_path / "mails").iterdir()
    assert (path.stat().st_mode & 0o777, path.stat().st_size) == (0o600, mail.size)
    assert content.read(mail).endswith(b"--\r\n")
    Mail.objects.update(state=State.SENT, created_at=timezone.now() - timedelta(days=91))
    assert submission.clean() == 1
    assert not path.exists()


def test_cleaning_keeps_what_is_young_or_on_its_way_and_files_that_are_new(tmp_path, settings):
    for state in State:
        message(headers={content.KEY: f"old {state}"}).send()
        Mail.objects.filter(key=f"old {state}").update(state=state, created_at=timezone.now() - timedelta(days=91))
    message().send()
    (tmp_path / "mails").mkdir()
    stale, fresh = tmp_path / "mails" / f"{'0' * 32}.eml", tmp_path / "mails" / f"{'1' * 32}.eml"
    for path in (stale, fresh):
        path.write_bytes(b"x")
    os.utime(stale, (time.time() - 90_000,) * 2)
    assert submission.clean(0) == 0
    assert not stale.exists()
    assert fresh.exists()
    assert submission.clean() == 5
    assert set(Mail.objects.values_list("state", flat=True)) == {State.WAITING, State.SENDING}


def test_a_broker_that_is_away_leaves_the_mail_to_housekeeping(monkeypatch):
    def away(*args, **kwargs):
        raise OperationalError("away")

    monkeypatch.setattr(current_app.tasks[submission.DELIVER], "apply_async", away)
    assert message().send() == 1
    assert Mail.objects.get().state == State.WAITING


def test_a_person_sends_again_and_gives_up(queue):
    message().send()
    mail = Mail.objects.get()
    first = mail.job_id
    assert "Given up" in submission.give_up(mail=mail, by="ada")
    with pytest.raises(NotNow, match="ended"):
        submission.give_up(mail=mail, by="ada")
    assert submission.again(mail=mail, by="ada") == "On its way to 1 of 1 recipients."
    assert (mail.state, mail.attempts) == (State.WAITING, 0)
    assert mail.job_id != first
    assert [job for _, job in queue] == [first, mail.job_id]
    assert list(mail.attempt_set.values_list("outcome", "by")) == [("stopped", "ada"), ("asked", "ada")]


def test_what_everyone_has_and_what_is_being_sent_is_left_alone():
    message().send()
    mail = Mail.objects.get()
    for state, delivered, reason in ((State.SENDING, [], "this moment"), (State.SENT, mail.addresses, "Everyone")):
        mail.state, mail.delivered = state, delivered
        with pytest.raises(NotNow, match=reason):
            submission.again(mail=mail, by="ada")


def test_a_person_who_is_late_changes_nothing():
    message().send()
    seen = Mail.objects.get()
    Mail.objects.update(state=State.SENDING)
    with pytest.raises(NotNow, match="look again"):
        submission.again(mail=seen, by="ada")
    assert Mail.objects.get().state == State.SENDING


def test_the_cancel_of_its_job_gives_a_mail_up():
    message().send()
    submission.cancelled(job=Mail.objects.get().job_id)
    assert (Mail.objects.get().state, Mail.objects.get().error) == (State.STOPPED, "Its job was cancelled.")

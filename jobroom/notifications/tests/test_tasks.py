"""What the jobs of the queue do with a mail, without a worker."""

import uuid

import pytest
from celery import current_app
from celery.exceptions import Retry
from django.core import mail as django_mail
from django.utils import timezone

from jobroom.arguments import WrongArguments, schema_of
from jobroom.exceptions import JobFailed
from jobroom.jobs.launches import default_queue
from jobroom.notifications import submission
from jobroom.notifications.models import Mail, State
from jobroom.notifications.tasks import cleanup_mails, deliver_mail, send_email
from jobroom.testing import refusing_port
from jobroom.testing.mail_server import mail_server

pytestmark = pytest.mark.django_db(transaction=True)

CALL = {"to": ["ada@example.org"], "subject": "Hello\nthere", "text": "text"}


@pytest.fixture
def job(monkeypatch):
    """Run a task as the job of this id would, and catch what it sends for later."""

    def run(task, job_id="j1", retries=0, **arguments):
        known = {"id": job_id, "hostname": "email@test", "called_directly": False}
        task.push_request(**known, retries=retries, args=(), kwargs=arguments)
        try:
            return task.run(**arguments)
        finally:
            task.pop_request()

    for task in (send_email, deliver_mail):
        registered = current_app.tasks[task.name]
        monkeypatch.setattr(registered, "signature_from_request", lambda *args, **options: Later(), raising=False)
    return run


class Later:
    """A message of a retry that goes nowhere."""

    def apply_async(self):
        return self


def smtp(settings, port):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", port, 60


def test_the_tasks_have_the_queue_of_the_mails():
    assert {default_queue(task) for task in (send_email, deliver_mail)} == {"email"}


def test_a_job_sends_a_mail_once_however_often_it_runs(job):
    first = job(send_email, **CALL)
    assert (first["state"], first["delivered"]) == ("sent", ["ada@example.org"])
    assert job(send_email, **CALL) == first
    (sent,) = django_mail.outbox
    assert (sent.subject, sent.body, sent.alternatives) == ("Hello there", "text", [])
    assert Mail.objects.get().job_id == "j1"


def test_html_goes_beside_the_text(job):
    job(send_email, **CALL, html="<b>text</b>")
    assert [tuple(part) for part in django_mail.outbox[0].alternatives] == [("<b>text</b>", "text/html")]


def test_two_jobs_with_one_key_are_one_mail_and_another_mail_needs_another_key(job):
    assert job(send_email, "j1", **CALL, key="k")["mail"] == job(send_email, "j2", **CALL, key="k")["mail"]
    assert len(django_mail.outbox) == 1
    with pytest.raises(JobFailed, match="belongs to another mail"):
        job(send_email, "j3", **{**CALL, "text": "another"}, key="k")


def test_what_is_temporary_comes_back_at_the_time_of_the_mail(job, settings):
    with refusing_port() as port:
        smtp(settings, port)
        with pytest.raises(Retry) as retry:
            job(send_email, **CALL)
    mail = Mail.objects.get()
    assert retry.value.when == mail.next_try
    assert "ConnectionRefusedError" in str(retry.value.exc)
    with pytest.raises(Retry):
        job(send_email, retries=8, **CALL)  # too early; Celery's own limit would have been three tries
    assert job(send_email, "j2", **CALL, key="job j1")["state"] == "waiting"  # j1 sees to it
    with mail_server() as server:
        smtp(settings, server.port)
        Mail.objects.update(next_try=timezone.now())
        assert job(send_email, **CALL)["state"] == "sent"
    assert len(server.mails) == 1


def test_what_is_refused_fails_the_job_and_a_retry_by_hand_tries_again(job, settings):
    with mail_server(answers={"RCPT": ["550 no such user"]}) as server:
        smtp(settings, server.port)
        with pytest.raises(JobFailed, match="550 no such user"):
            job(send_email, **CALL)
        assert job(send_email, **CALL)["state"] == "sent"
    assert len(server.mails) == 1


def test_what_no_one_knows_fails_the_job_and_stays_so(job, settings):
    with mail_server(answers={"content": ["hang up"]}) as server:
        smtp(settings, server.port)
        for _ in range(2):
            with pytest.raises(JobFailed, match="No one knows"):
                job(send_email, **CALL)
    assert len(server.seen) == 1
    assert Mail.objects.get().state == State.UNKNOWN


def test_a_mail_in_the_database_is_sent_by_its_id(job):
    mail, _ = submission.post(submission.compose(**CALL, key="k"), job="j1")
    assert job(deliver_mail, mail=mail.pk)["state"] == "sent"
    with pytest.raises(JobFailed, match="There is no mail"):
        job(deliver_mail, mail=uuid.uuid4())


def test_a_mail_that_was_given_up_is_left_alone(job):
    mail, _ = submission.post(submission.compose(**CALL, key="k"), job="j1")
    mail.stop("ada")
    assert job(deliver_mail, mail=mail.pk)["state"] == "stopped"
    assert django_mail.outbox == []


@pytest.mark.parametrize(
    "wrong", [["nonsense"], ["a@b@c"], ["a b@example.org"], ["ädä@example.org"], [f"{'a' * 260}@b.c"]]
)
def test_a_wrong_address_is_caught_before_the_launch(wrong):
    with pytest.raises(WrongArguments, match=r"to: .*is not an e-mail address|longer than") as error:
        schema_of(send_email).wire({**CALL, "to": wrong})
    assert list(error.value.errors) == ["to"]


def test_addresses_may_be_one_text_and_have_names():
    sent = schema_of(send_email).wire({**CALL, "to": "Ada <ada@Example.org>, bob@bücher.example"})
    assert sent["to"] == ["ada@example.org", "bob@xn--bcher-kva.example"]


def test_cleaning_says_how_many():
    assert cleanup_mails.run(days=1) == "0 mails deleted"
    assert cleanup_mails.name in current_app.tasks

"""Who is notified of a failure, once, and what the mail says."""

import json
import smtplib
from typing import Annotated

import pytest
from billiard.einfo import ExceptionInfo
from celery.app.task import Context
from celery.exceptions import SoftTimeLimitExceeded, TimeLimitExceeded
from celery.utils.serialization import UnpickleableExceptionWrapper
from django.core import mail

from jobroom import events, redis, safe_text
from jobroom.arguments.redaction import Secret
from jobroom.cache import handoff
from jobroom.tasks import BaseTask, JobFailed, NotifyAdminTaskMixin, admin_mail, failure_mail, outbox
from jobroom.testing.floods import end_floods


class Weighing(NotifyAdminTaskMixin, BaseTask):
    """Stands for a task whose author wants to be notified."""

    name = "Weigh samples"
    action = "weighing"

    def apply_for_a_job(self, sample, password="", code: Annotated[str, Secret] = "", **more):
        """Do nothing."""

    run = apply_for_a_job


class Quiet(BaseTask):
    """Stands for a task whose author does not."""

    name = "Quiet"


@pytest.fixture(autouse=True)
def _nothing_reported_yet(settings, monkeypatch):
    for patience in ("PATIENCE", "PATIENCE_AT_END"):
        monkeypatch.setattr(failure_mail, patience, 60.0)
    settings.ADMINS = [("Ada", "ada@example.org"), ("Bob", "bob@example.org")]
    settings.JOBROOM = settings.JOBROOM | {"SITE_URL": "https://jobs.example.org"}
    redis.client().flushdb()
    failure_mail._timed_out.clear()
    yield
    failure_mail.wait()
    redis.client().flushdb()


@pytest.fixture
def task():
    return Weighing()


def raised(error=None):
    """Return an exception with a traceback, as Celery hands it over."""
    try:
        raise error or ValueError("too heavy")  # noqa: TRY301 — only a raised error has a traceback
    except Exception as caught:  # noqa: BLE001 — any error will do
        return caught, ExceptionInfo()


class job:
    """Puts a request on the task's stack, as a pool process or the main process does; ends with its mails sent."""

    def __init__(self, task, job_id="j1", tag="tag-1", retries=0, **more):
        self.stack = task.request_stack
        self.request = Context(
            {"id": job_id, "retries": retries, "hostname": "default@host", "args": [], "kwargs": {}, **more},
            properties={"delivery_tag": tag},
            delivery_info={"routing_key": "heavy"},
        )

    def __enter__(self):
        self.stack.push(self.request)
        return self.request

    def __exit__(self, *_):
        self.stack.pop()
        failure_mail.wait()


def mail_events():
    found = [json.loads(entry["e"]) for _, entry in redis.client().xrange(events.stream())]
    return [event for event in found if event["type"] == "mail"]


# By hand ---------------------------------------------------------------------------------------------------------------
def test_on_failure_by_hand_mails_every_admin_at_once(task):
    error, einfo = raised()
    task.on_failure(error, "x", [], {}, einfo)
    (sent,) = mail.outbox
    assert sent.subject == "Error in weighing"
    assert sent.to == ["ada@example.org", "bob@example.org"]
    assert "Traceback (most recent call last)" in sent.body
    assert "ValueError: too heavy" in sent.body
    assert "https://jobs.example.org/jobs/x/" in sent.body


def test_on_failure_by_hand_needs_no_traceback_and_mails_each_time(task):
    for _ in range(8):
        task.on_failure(Exception("fake"), "x", [], {}, None)
    assert len(mail.outbox) == 8
    assert "Exception: fake" in mail.outbox[0].body


def test_without_an_action_the_task_is_named(task):
    task.action = None
    task.on_failure(Exception("fake"), "x", [], {}, None)
    assert mail.outbox[0].subject == "Error in Weigh samples"


def test_an_action_cannot_add_a_header(task):
    task.action = "weighing\r\nBcc: eve@example.org\x00 " + "x" * 500
    task.on_failure(Exception("fake"), "x", [], {}, None)
    (sent,) = mail.outbox
    assert sent.subject.startswith("Error in weighing Bcc: eve@example.org xxx")
    assert len(sent.subject) == failure_mail.SUBJECT_LIMIT
    assert sent.bcc == []


# Once ------------------------------------------------------------------------------------------------------------------
def test_hook_and_signal_of_one_run_make_one_mail(task):
    error, einfo = raised()
    with job(task):
        task.on_failure(error, "j1", [], {}, einfo)
        failure_mail.on_signal(task, "j1", error, einfo)
    assert len(mail.outbox) == 1


def test_the_pool_process_and_the_main_process_agree_on_a_run(task):
    error, einfo = raised()
    with job(task):
        task.on_failure(error, "j1", [], {}, einfo)
    with job(task):  # another request object: the main process saw the pool process die after it had reported
        failure_mail.on_signal(task, "j1", RuntimeError("killed"), None)
    assert len(mail.outbox) == 1


@pytest.mark.parametrize("change", [{"tag": "tag-2"}, {"retries": 1}])
def test_a_job_that_is_run_again_and_fails_again_mails_again(task, change):
    error, einfo = raised()
    for more in ({}, change):
        with job(task, **more):
            task.on_failure(error, "j1", [], {}, einfo)
    assert len(mail.outbox) == 2


def test_a_killed_pool_process_is_reported_by_the_signal_alone(task):
    with job(task, args=["s1"], kwargs={"password": "sesame"}):
        failure_mail.on_signal(task, "j1", RuntimeError("signal 9"), None)
    (sent,) = mail.outbox
    assert "'s1'" in sent.body
    assert "sesame" not in sent.body


def test_a_hard_time_limit_is_reported_once_by_its_signal_hook_and_second_signal(task):
    for _ in range(2):  # and once more when the job is run again
        error, einfo = raised(TimeLimitExceeded(5))
        with job(task, tag=f"tag-{_}"):
            failure_mail.on_signal(task, "j1", error, einfo)
        task.on_failure(error, "j1", [], {}, einfo)
        failure_mail.on_signal(task, "j1", error, einfo)
    assert len(mail.outbox) == 2
    assert "hard time limit" in mail.outbox[0].body


def test_an_eager_job_mails_once_and_at_once(task):
    error, einfo = raised()
    with job(task, is_eager=True):
        task.on_failure(error, "j1", [], {}, einfo)
        failure_mail.on_signal(task, "j1", error, einfo)
        assert len(mail.outbox) == 1
    assert len(mail.outbox) == 1


def test_the_rescuer_mails_for_tasks_that_asked_for_it(task):
    failure_mail.report(task, RuntimeError("its worker vanished"), "j1", ["s1"], {}, "")
    failure_mail.report(Quiet(), RuntimeError("its worker vanished"), "j2", [], {}, "")
    failure_mail.on_signal(Quiet(), "j3", RuntimeError("killed"), None)
    failure_mail.wait()
    (sent,) = mail.outbox
    assert "its worker vanished" in sent.body


# What it says ----------------------------------------------------------------------------------------------------------
def test_the_mail_names_all_that_is_known(task):
    error, einfo = raised()
    with job(task, retries=2):
        task.on_failure(error, "j1", ["s1"], {"n": 3}, einfo)
    body = mail.outbox[0].body
    for line in (
        "Task:      Weigh samples",
        "Job:       j1",
        "Attempt:   3",
        "Arguments: ('s1', n=3)",
        "Queue:     heavy",
        "Worker:    default@host",
        "Page:      https://jobs.example.org/jobs/j1/",
        "ValueError: too heavy",
    ):
        assert line in body.splitlines()
    assert " UTC" in body


def test_secrets_are_in_neither_arguments_nor_traceback(task):
    error, einfo = raised(ValueError("refused sesame for code-7 at https://ada:sesame@host/?p=sesame"))
    task.on_failure(error, "x", ["s1", "sesame"], {"code": "code-7"}, einfo)
    assert "sesame" not in mail.outbox[0].body
    assert "code-7" not in mail.outbox[0].body
    assert "('s1', '••••••', code='••••••')" in mail.outbox[0].body


def test_a_job_that_says_so_has_no_traceback_in_its_mail(task):
    error, einfo = raised(JobFailed("The scale is broken."))
    task.on_failure(error, "x", [], {}, einfo)
    assert "The job says that it failed: The scale is broken." in mail.outbox[0].body
    assert "Traceback" not in mail.outbox[0].body


def test_failures_that_are_no_news_are_not_mailed():
    class Expected(JobFailed):
        """The sample is no sample."""

    class Weighing2(Weighing):
        name = "Weigh what people bring"
        no_mail_for = (Expected,)

    error, einfo = raised(Expected())
    Weighing2().on_failure(error, "x", [], {}, einfo)
    failure_mail.on_signal(Weighing2(), "y", error, einfo)
    failure_mail.report(Weighing2(), error, "z", [], {}, "")
    failure_mail.wait()
    assert mail.outbox == []
    Weighing2().on_failure(*_hooked(JobFailed("The scale is broken.")))
    assert len(mail.outbox) == 1


def test_failures_that_are_no_news_are_known_by_the_names_of_their_bases():
    """Celery hands on a substitute where an error cannot be pickled, and a job may end as the one that computed the same."""

    class Away(OSError):
        pass

    class Weighing3(Weighing):
        name = "Weigh over the network"
        no_mail_for = (OSError,)

    class Weighing4(Weighing):
        name = "Weigh with care"
        no_mail_for = Away  # one class, where others write a tuple

    named = {"error_type": "Away", "error": "no answer", "error_bases": safe_text.error_bases(Away())}
    wrapped = UnpickleableExceptionWrapper(Away.__module__, Away.__qualname__, ())
    for task, error in (
        (Weighing3(), handoff.same_failed(named)),
        (Weighing4(), handoff.same_failed(named)),
        (Weighing4(), wrapped),
        (Weighing4(), Away()),
    ):
        task.on_failure(*_hooked(error))
        failure_mail.on_signal(task, "y", error, None)
        failure_mail.report(task, error, "z", [], {}, "")
    failure_mail.wait()
    assert mail.outbox == []
    Weighing3().on_failure(*_hooked(handoff.same_failed({"error_type": "ValueError", "error": "no number"})))
    assert len(mail.outbox) == 1


def test_an_error_whose_class_answers_no_questions_is_mailed():
    class Deaf(type):
        def __instancecheck__(cls, instance):
            raise RuntimeError("not to be asked")

    class Expected(Exception, metaclass=Deaf):
        pass

    class Weighing5(Weighing):
        name = "Weigh in silence"
        no_mail_for = (Expected,)

    Weighing5().on_failure(*_hooked(ValueError("x")))
    assert len(mail.outbox) == 1


def _hooked(error):
    caught, einfo = raised(error)
    return caught, "x", [], {}, einfo


def test_a_soft_time_limit_is_said_in_words(task):
    error, einfo = raised(SoftTimeLimitExceeded())
    task.on_failure(error, "x", [], {}, einfo)
    assert "The job ran into its soft time limit." in mail.outbox[0].body


def test_what_is_huge_is_cut_and_says_so(task):
    task.on_failure(Exception("e" * 9000), "x", ["y" * 9000], {}, "A" * 30_000 + "the cause")
    body = mail.outbox[0].body
    assert "… 10,069 bytes left out …" in body  # of the traceback
    assert body.endswith("the cause\n")
    assert "… 7,062 bytes left out …" in body  # of the arguments
    assert "… 7,071 bytes left out …" in body  # of the error's own words
    assert len(body) < 25_000


def test_an_error_that_cannot_say_itself_is_reported_all_the_same(task):
    class Mute(Exception):
        def __str__(self):
            raise RuntimeError("no words")

        __repr__ = object.__repr__

    task.on_failure(Mute(), "x", [], {}, None)
    assert len(mail.outbox) == 1


def test_arguments_of_any_shape_make_a_mail(task):
    for args, kwargs in ((None, None), ("('s1',)", "{}"), (({1, 2},), {"o": object()})):
        task.on_failure(Exception("x"), "x", args, kwargs, None)
    assert len(mail.outbox) == 3


# Floods ----------------------------------------------------------------------------------------------------------------
def fail(task, count, first=0, error=None):
    for number in range(first, first + count):
        with job(task, job_id=f"j{number}", tag=f"tag-{number}"):
            task.on_failure(error or ValueError("too heavy"), f"j{number}", [], {}, None)


def test_a_flood_is_held_back_and_reported_in_one_summary(task):
    fail(task, 30)
    assert len(mail.outbox) == 5
    assert [event["status"] for event in mail_events()] == ["sent"] * 5
    assert not outbox.anything_due()
    end_floods()
    assert outbox.anything_due()
    (taken,) = outbox.take()
    summary = failure_mail.compose_summary(taken)
    assert summary["subject"] == "Error in weighing (25 more)"
    assert "came 30 times" in summary["body"]
    assert "https://jobs.example.org/jobs/j5/" in summary["body"]
    assert "https://jobs.example.org/jobs/j29/" in summary["body"]
    assert "ValueError: too heavy" in summary["body"]
    outbox.done(summary["id"])
    assert outbox.take() == []
    assert redis.client().keys(redis.key("mail", "group", "*")) == []


def test_a_summary_names_some_jobs_and_counts_the_rest(task, settings, monkeypatch):
    settings.JOBROOM = settings.JOBROOM | {"FAILURE_MAIL_BURST": 0}
    monkeypatch.setattr(outbox, "JOBS_NAMED", 3)
    fail(task, 10)
    assert not outbox.anything_due()
    end_floods()
    assert outbox.anything_due()
    body = failure_mail.compose_summary(outbox.take()[0])["body"]
    assert body.count("/jobs/j") == 3 + 1  # and the one in the first mail
    assert "… and 7 more" in body


def test_another_error_is_another_flood(task, settings):
    settings.JOBROOM = settings.JOBROOM | {"FAILURE_MAIL_BURST": 1}
    fail(task, 2)
    fail(task, 2, first=2, error=KeyError("s1"))
    assert len(mail.outbox) == 2


def test_a_new_window_begins_though_no_one_keeps_house(task, settings):
    settings.JOBROOM = settings.JOBROOM | {"FAILURE_MAIL_BURST": 1}
    fail(task, 3)
    assert not outbox.anything_due()
    end_floods()
    assert outbox.anything_due()
    fail(task, 1, first=3)
    assert len(mail.outbox) == 2
    assert [entry["held"] for entry in outbox.take() if entry["kind"] == "summary"] == [2]


# When something is away --------------------------------------------------------------------------------------------------
def refuse(*args, **kwargs):
    raise smtplib.SMTPServerDisconnected("gone")


def test_a_mail_that_cannot_be_sent_is_reported_and_harms_no_one(task, monkeypatch):
    monkeypatch.setattr(failure_mail, "send_mail_to_admins", refuse)
    with job(task):
        task.on_failure(ValueError("too heavy"), "j1", [], {}, None)
    (event,) = mail_events()
    assert (event["status"], event["job"]) == ("failed", "j1")
    assert event["error"] == "SMTPServerDisconnected: gone"
    assert "ValueError: too heavy" in event["body"]
    assert redis.client().hlen(redis.key("mail", "box")) == 0


def test_a_mail_that_was_sent_is_reported(task):
    with job(task):
        task.on_failure(ValueError("too heavy"), "j1", [], {}, None)
    (event,) = mail_events()
    assert event["status"] == "sent"
    assert event["recipients"] == ["ada@example.org", "bob@example.org"]
    assert event["subject"] == "Error in weighing"


def test_no_one_to_notify_is_reported(task, settings):
    settings.ADMINS = []
    with job(task):
        task.on_failure(ValueError("too heavy"), "j1", [], {}, None)
    assert mail.outbox == []
    assert [event["status"] for event in mail_events()] == ["nobody"]


def leases_end():
    """End the time for which a mail is someone's, as time itself would."""
    due, client = redis.key("mail", "due"), redis.client()
    for mail_id in client.zrange(due, 0, -1):
        client.zadd(due, {mail_id: 1})


def test_a_mail_whose_sender_dies_is_found_again(task, monkeypatch):
    monkeypatch.setattr(failure_mail, "_deliver", lambda *args, **kwargs: None)  # died before it could do anything
    with job(task):
        task.on_failure(ValueError("too heavy"), "j1", [], {}, None)
    assert not outbox.anything_due()
    leases_end()
    (left,) = outbox.take()
    assert left["job"] == "j1"
    assert outbox.take() == []  # someone has it now
    leases_end()  # and has not said that it was done
    assert [entry["id"] for entry in outbox.take()] == [left["id"]]
    outbox.done(left["id"])
    assert redis.client().hlen(redis.key("mail", "box")) == 0


def test_without_redis_the_mail_goes_out(task, monkeypatch):
    def away(*args, **kwargs):
        raise redis.Error("away")

    monkeypatch.setattr(outbox, "_run", away)
    monkeypatch.setattr(events, "emit", lambda *args, **kwargs: False)
    with job(task):
        task.on_failure(ValueError("too heavy"), "j1", [], {}, None)
    assert len(mail.outbox) == 1


def test_whatever_goes_wrong_ends_in_the_log(task, monkeypatch, caplog):
    monkeypatch.setattr(failure_mail, "compose", refuse)
    task.on_failure(ValueError("too heavy"), "j1", [], {}, None)
    assert "The failure mail of job j1 went wrong" in caplog.text


# Helpers ---------------------------------------------------------------------------------------------------------------
def test_admins_may_be_pairs_or_addresses(settings):
    settings.ADMINS = [("Ada", "ada@example.org"), "bob@example.org"]
    assert admin_mail.get_admin_emails() == ["ada@example.org", "bob@example.org"]


def test_the_documented_helper_mails_all_or_the_given_addresses():
    assert admin_mail.send_mail_to_admins("s", "b") == 1
    assert admin_mail.send_mail_to_admins("s", "b", default_from="me@x.org", addresses=["eve@x.org"]) == 1
    assert admin_mail.send_mail_to_admins("s", "b", addresses=[]) == 0
    assert [m.to for m in mail.outbox] == [["ada@example.org", "bob@example.org"], ["eve@x.org"]]
    assert mail.outbox[1].from_email == "me@x.org"

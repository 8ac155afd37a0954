"""What a worker reports of a job, end to end, is in tests/acceptance; here are the rules."""

from types import SimpleNamespace
from typing import Annotated
from unittest import mock

import pytest
from celery import states
from celery.exceptions import SoftTimeLimitExceeded, TimeLimitExceeded

from jobroom import events
from jobroom.arguments.redaction import HIDDEN, Secret
from jobroom.celery import tracker
from jobroom.celery.recorded_results import shown
from jobroom.celery.tracker import Execution


@pytest.fixture
def sent():
    sent_events = []

    def write(kind, job, data):
        sent_events.append((kind, data))
        return True, None

    with mock.patch.object(events, "write", write):
        yield lambda: sent_events


def task(**request):
    request = {"id": "j1", "is_eager": False, "retries": 0, "hostname": "w@h", "delivery_info": {}, **request}

    def run(user, code: Annotated[str, Secret] = "", password=""):
        return None

    return SimpleNamespace(
        name="scratch.task", tracked=True, acks_late=True, run=run, request=SimpleNamespace(**request)
    )


def publish(name="scratch.task", body=((), {}, {}), **headers):
    headers = {"id": "j1", "retries": 0, **headers}
    with mock.patch.object(tracker, "current_app") as app:
        app.tasks = {"scratch.task": task()}
        tracker._queued(name, body, headers, routing_key="ml", properties={"priority": 3})
    return headers


def test_a_sent_message_is_announced_with_its_secrets_hidden(sent):
    headers = publish(body=(("ada", "1234"), {"password": "x"}, {}))
    ((kind, event),) = sent()
    assert kind == "queued"
    assert event["args"] == ["ada", HIDDEN]
    assert event["kwargs"] == {"password": HIDDEN}
    assert (event["queue"], event["priority"], event["source"]) == ("ml", 3, "code")
    assert headers["tracked"] is True


def test_a_scheduled_message_names_its_schedule(sent):
    publish(periodic_task_name="Every morning")
    assert (sent()[0][1]["source"], sent()[0][1]["schedule"]) == ("schedule", "Every morning")


def test_who_launches_may_say_so(sent):
    token = tracker.source.set("page")
    try:
        publish()
    finally:
        tracker.source.reset(token)
    assert sent()[0][1]["source"] == "page"


def test_celerys_own_messages_are_not_announced(sent):
    publish(name="celery.chord_unlock")
    assert sent() == []


def test_a_task_that_only_workers_know_is_announced(sent):
    publish(name="elsewhere.task")
    assert sent()[0][1]["task"] == "elsewhere.task"


def test_an_announced_job_does_not_repeat_its_arguments(sent):
    tracker._started(task(tracked=True), "j1", ("ada",), {})
    assert "args" not in sent()[0][1]


def test_an_unannounced_job_brings_its_arguments(sent):
    tracker._started(task(), "j1", ("ada", "1234"), {})
    assert sent()[0][1]["args"] == ["ada", HIDDEN]


def test_eager_runs_leave_no_trace(sent):
    scratch = task(is_eager=True)
    tracker._started(scratch, "j1", (), {})
    tracker._ended(scratch, "j1", states.SUCCESS, 1)
    assert sent() == []


@pytest.mark.parametrize(
    ("state", "execution", "expected"),
    [
        (states.SUCCESS, {}, "succeeded"),
        (states.SUCCESS, {"outcome": "skipped", "holder": "j0"}, "skipped"),
        ("IGNORED", {}, "succeeded"),
        ("IGNORED", {"requeued": True}, None),
        (states.RETRY, {}, None),
        (states.FAILURE, {}, None),
    ],
)
def test_how_a_run_ends(sent, state, execution, expected):
    tracker._ended(task(execution=Execution("e1", 0.0, **execution)), "j1", state, "r")
    assert [event["state"] for _, event in sent()] == ([expected] if expected else [])


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (SoftTimeLimitExceeded(), "The job ran into its soft time limit."),
        (TimeLimitExceeded(3), "The job ran into its hard time limit of 3 s and was killed."),
        (ValueError("odd"), "odd"),
    ],
)
def test_an_error_reads_as_a_sentence(error, text):
    scratch = task()
    assert tracker._error(scratch, scratch.request, error, None, (), {})["error"] == text


def test_a_failure_does_not_reveal_its_secrets(sent):
    scratch = task(execution=Execution("e1", 0.0))
    with mock.patch("jobroom.tasks.failure_mail.on_signal"):
        tracker._failed(scratch, "j1", ValueError("wrong code s3cret99"), args=("ada", "s3cret99"), kwargs={})
    assert sent()[0][1]["error"] == f"wrong code {HIDDEN}"


def test_a_long_result_is_cut_and_says_so(settings):
    settings.JOBROOM = settings.JOBROOM | {"RESULT_LIMIT": 50}
    assert "bytes left out" in shown("x" * 100)
    assert shown(None) is None
    assert shown(object()).startswith('"<object')


def test_a_revoked_job_says_why(sent):
    scratch = task()
    for terminated, expired in ((False, False), (True, False), (False, True)):
        tracker._revoked(scratch, scratch.request, terminated=terminated, expired=expired)
    assert [event["error"] for _, event in sent()] == [
        "revoked before it started",
        "terminated",
        "expired before it was started",
    ]

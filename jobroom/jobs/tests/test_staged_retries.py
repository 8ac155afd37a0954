"""Retries in stages: how far one goes, when it stops, what a kill leaves, and whose rights count."""

import json
from datetime import timedelta

import pytest
from celery import current_app
from django.contrib.auth.models import User
from django.core.management import call_command
from django.utils import timezone

from jobroom.arguments.redaction import HIDDEN
from jobroom.audit.models import Act
from jobroom.jobs import control, failure_actions, launches, staged_retries
from jobroom.jobs.exceptions import NotNow
from jobroom.jobs.failure_models import FailureGroup
from jobroom.jobs.models import Job, StagedJob, StagedRetry, State
from jobroom.limits import TooMany

pytestmark = [pytest.mark.django_db, pytest.mark.sql]
CAUSE, OTHER = "c" * 32, "d" * 32


@pytest.fixture(autouse=True)
def clean(empty_redis):
    return None


@pytest.fixture
def group():
    return FailureGroup.objects.create(id=CAUSE, error_type="ValueError", number=1)


@pytest.fixture
def sent(monkeypatch):
    """Return the ids of jobs in the order in which their messages go out; on commit means at once here."""
    found = []
    monkeypatch.setattr(launches, "send_again", lambda job, checked: found.append(job.pk))
    monkeypatch.setattr(control, "send_again", lambda job, checked: found.append(job.pk))
    return found


def failed(number, **fields):
    ended = timezone.now() - timedelta(minutes=5)
    values = {"task": "demo.echo", "state": State.FAILED, "fingerprint": CAUSE, "kwargs": {"text": "x"}, **fields}
    return [
        Job.objects.create(id=f"j{n:03}", finished_at=ended - timedelta(seconds=n), **values) for n in range(number)
    ]


def end(ids, state=State.SUCCEEDED, fingerprint=""):
    """Write what the recorder writes of a retry that ended."""
    for job in Job.objects.filter(pk__in=ids):
        Job.objects.filter(pk=job.pk).update(
            state=state, fingerprint=fingerprint, queued_event=job.queued_event + 1, execution=f"{job.execution}x",
            finished_at=timezone.now(),
        )  # fmt: skip


def begin(group, by):
    failure_actions.act(group=group, action="retry", by=by)
    return StagedRetry.objects.get(state="running")


def test_one_then_ten_then_the_rest_and_none_twice(group, staff, sent):
    failed(15)
    retry = begin(group, staff)
    for expected in (1, 1, 1):  # whatever the number of rounds: silence moves nothing on
        staged_retries.go_on()
        assert len(sent) == expected
    assert sent == ["j000"]
    end(sent)
    for _ in range(3):
        staged_retries.go_on()
    assert len(sent) == 11
    end(sent[1:10])
    staged_retries.go_on()
    assert len(sent) == 11, "the stage is over when all of it have ended"
    assert "Stage 2 of 3, 10 jobs: 10 succeeded, 1 not ended yet." in str(staged_retries.latest(CAUSE))
    end(sent[10:])
    staged_retries.go_on()
    staged_retries.go_on()
    assert sorted(sent) == sorted(set(sent)) == [f"j{n:03}" for n in range(15)]
    end(sent[11:])
    staged_retries.go_on()
    retry.refresh_from_db()
    assert retry.state == "done"
    assert Act.objects.filter(action="retried in stages", target=CAUSE, outcome__contains="15 succeeded").exists()
    assert Act.objects.filter(action="retried", kind="job", who="grace").count() == 15


def test_the_same_cause_stops_it_and_another_one_does_so_where_none_succeeds(group, staff, sent):
    failed(5)
    begin(group, staff)
    staged_retries.go_on()
    end(sent, State.FAILED, CAUSE)
    staged_retries.go_on()
    staged_retries.go_on()
    assert sent == ["j000"]
    assert str(staged_retries.latest(CAUSE)) == (
        "Stopped by itself: 1 failed for the same cause. The same cause came back with job j000."
    )
    begin(group, staff)
    staged_retries.go_on()
    end(sent[1:], State.FAILED, OTHER)
    staged_retries.go_on()
    assert str(staged_retries.latest(CAUSE)).endswith("None of stage 1 succeeded.")


def test_in_the_last_stage_too_one_failure_stops_the_rest(group, staff, sent, monkeypatch):
    monkeypatch.setattr(staged_retries, "PER_ROUND", 2)
    failed(20)
    retry = begin(group, staff)
    StagedRetry.objects.update(stage=3)
    staged_retries.go_on()
    end(sent[:1], State.FAILED, CAUSE)
    staged_retries.go_on()
    retry.refresh_from_db()
    assert (len(sent), retry.state) == (2, "halted")


def test_a_process_that_is_killed_leaves_no_job_to_be_sent_twice(group, staff, sent, monkeypatch):
    failed(3)
    retry = begin(group, staff)

    def killed(**_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(control, "retry", killed)
        with pytest.raises(KeyboardInterrupt):
            staged_retries.go_on()  # claimed, and not sent
    staged_retries.go_on()
    assert sent == [], "no one knows yet whether it was sent"
    StagedJob.objects.update(claimed_at=timezone.now() - 2 * staged_retries.UNHEARD)
    staged_retries.go_on(known_until=timezone.now() - 3 * staged_retries.UNHEARD)
    assert sent == [], "the history is behind, so what it does not know may have happened"
    staged_retries.go_on()
    assert sent == ["j001"], "another one is the first"
    assert StagedJob.objects.get(job_id="j000").outcome == "left"
    # Killed after it was sent: the next round finds what the recorder wrote, and goes on.
    StagedJob.objects.filter(job_id="j001").update(outcome="sending")
    end(["j001"])
    for _ in range(3):
        staged_retries.go_on()
    end(["j002"])
    staged_retries.go_on()
    staged_retries.go_on()
    retry.refresh_from_db()
    assert (sent, retry.state) == (["j001", "j002"], "done")
    assert "1 left alone" in str(staged_retries.standing(retry))


def test_two_recorders_send_no_job_twice(group, staff, sent):
    failed(3)
    retry = begin(group, staff)
    job = Job.objects.get(pk="j000")
    assert staged_retries._claimed(retry, job)
    assert not staged_retries._claimed(retry, job)


def test_a_stop_counts_at_once(group, staff, sent):
    failed(3)
    retry = begin(group, staff)
    with pytest.raises(NotNow, match="under way already"):
        failure_actions.act(group=group, action="retry", by=staff)
    staged_retries.go_on()
    said = failure_actions.act(group=group, action="stop-retry", by=staff)
    assert said == "Stopped: 1 of 3 jobs were sent, and no further one is."
    assert not staged_retries._claimed(retry, Job.objects.get(pk="j001"))
    end(sent)
    staged_retries.go_on()
    assert sent == ["j000"]
    with pytest.raises(NotNow, match="No retry in stages"):
        failure_actions.act(group=group, action="stop-retry", by=staff)


def test_what_cannot_run_again_is_left_alone_and_does_not_use_up_the_stage(group, staff, sent):
    failed(2, kwargs={"text": HIDDEN})
    Job.objects.create(id="z", task="demo.echo", state=State.LOST, fingerprint=CAUSE, kwargs={"text": "x"},
                       finished_at=timezone.now() - timedelta(hours=1))  # fmt: skip
    begin(group, staff)
    staged_retries.go_on()
    assert sent == ["z"]
    assert staged_retries.latest(CAUSE).reasons[0][1] == 2
    assert "secret" in staged_retries.latest(CAUSE).reasons[0][0]


def test_rights_are_asked_for_again_each_time(group, staff, sent, monkeypatch):
    failed(3)
    begin(group, staff)

    def too_many(**_):
        raise TooMany("Too often.")

    with monkeypatch.context() as patched:
        patched.setattr(control, "retry", too_many)
        staged_retries.go_on()
    assert not StagedJob.objects.exists(), "it is the first of a later round"
    staged_retries.go_on()
    end(sent)
    User.objects.filter(pk=staff.pk).update(is_superuser=False)
    staged_retries.go_on()
    assert sent == ["j000"]
    assert str(staged_retries.latest(CAUSE)).endswith("grace may not do this any more.")


def test_with_the_real_message(group, staff, django_capture_on_commit_callbacks):
    (job,) = failed(1)
    begin(group, None)
    with django_capture_on_commit_callbacks(execute=True):
        staged_retries.go_on()
    with current_app.connection_for_read() as connection:
        message = connection.SimpleQueue("default").get(block=False)
    assert message.headers["id"] == job.pk


def test_page_api_and_command_show_begin_and_stop_it(group, as_staff, sent, capsys):
    failed(2)
    page, api = group.get_absolute_url(), f"/api/failures/{CAUSE}/"
    assert as_staff.get(api).json()["retry"] is None
    assert "one first, then ten" in as_staff.post(f"{page}act/", {"action": "retry"}, follow=True).content.decode()
    staged_retries.go_on()
    assert "Stage 1 of 3, one job: 1 not ended yet." in as_staff.get(page).content.decode()
    found = as_staff.get(api).json()["retry"]
    assert (found["state"], found["stage"], found["total"], found["numbers"]["sent"]) == ("running", 1, 2, 1)
    answer = as_staff.post(f"{api}act/", {"action": "stop-retry"}, content_type="application/json")
    assert answer.json()["said"].startswith("Stopped: 1 of 2")
    assert as_staff.post(f"{api}act/", {"action": "stop-retry"}, content_type="application/json").status_code == 409
    call_command("failures", "retry", CAUSE[:8], "--as", "grace")
    call_command("failures", "show", CAUSE[:8])
    call_command("failures", "stop-retry", CAUSE[:8], "--json")
    said = capsys.readouterr().out
    assert "Started for 2 failed jobs" in said
    assert "retry     Stage 1 of 3" in said
    assert "Stopped: 0 of 2" in json.loads(said[said.index("{") :])["said"]

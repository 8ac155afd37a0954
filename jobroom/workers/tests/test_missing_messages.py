"""Jobs that the history calls queued and of which no message is anywhere: sent again, or said to be gone."""

from contextlib import contextmanager, nullcontext
from datetime import timedelta
from types import SimpleNamespace

import pytest
from amqp.exceptions import NotFound
from celery import current_app
from django.utils import timezone

from jobroom import events, redis
from jobroom.events import consumer
from jobroom.jobs.models import Job, State
from jobroom.workers import missing_messages
from jobroom.workers.tests.engine import received, reported, waiting, worker

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _empty_redis(settings):
    settings.JOBROOM = settings.JOBROOM | {"WORKERS_RESCUE_MARGIN": 0}
    redis.client().flushdb()


def queued(pk: str, **values) -> Job:
    before = timezone.now() - timedelta(minutes=5)
    fields = {"task": "demo.echo", "queue": "default", "state": State.QUEUED, "queued_at": before, "queued_event": 1}
    return Job.objects.create(pk=pk, args=["x"], **{**fields, **values})


def look() -> list[str]:
    """Return what the second of two looks deals with: nothing is believed at first sight."""
    assert missing_messages.round_of(consumer.mark()) == []
    return missing_messages.round_of(consumer.mark())


def test_a_job_without_a_message_is_sent_again_once():
    queued("a")
    assert look() == ["a"]
    assert waiting() == ["a"]
    assert look() == []


def test_a_retry_is_sent_again_as_the_attempt_that_it_was():
    queued("a", facts={"retries": 2})
    look()
    (text,) = redis.client().lrange("default", 0, -1)
    assert '"retries": 2' in text
    assert '"dispatch": "again-' in text


def test_a_killed_jobs_message_that_went_back_and_is_gone_is_sent_again():
    events.emit("queued", "a", task="demo.echo", args=["x"], queue="default")
    events.emit("started", "a", execution="e", task="demo.echo", retries=0, may_rerun=True)
    queued("a", state=State.RETRYING)
    look()
    assert waiting() == [], "its process may be alive"
    events.emit("retrying", "a", execution=None, retries=0, eta=None, error="killed", error_type="WorkerLost")
    assert missing_messages.round_of(consumer.mark()) == ["a"]
    assert waiting() == ["a"]


def test_a_retry_whose_time_has_come_is_looked_for_and_one_for_later_is_not():
    later = timezone.now() + timedelta(hours=1)
    queued("due", state=State.RETRYING, facts={"retries": 1}, run_after=timezone.now() - timedelta(minutes=5))
    queued("later", state=State.RETRYING, facts={"retries": 1}, run_after=later)
    assert look() == ["due"]
    assert waiting() == ["due"]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"args": ["(hidden)"]}, "secret"),
        ({"facts": {"bound": True}}, "a chain, a chord, links"),
        ({"task": "nobody.knows"}, "not known here"),
    ],
)
def test_one_that_cannot_be_sent_again_is_said_to_be_gone(values, reason, monkeypatch):
    monkeypatch.setattr("jobroom.jobs.launches.has_secrets", lambda job: job.args == ["(hidden)"])
    job = queued("a")
    Job.objects.filter(pk="a").update(**values)
    assert look() == ["a"]
    assert waiting() == []
    (event,) = [event for event in reported(job.pk) if event["type"] == "finished"]
    assert (event["state"], event["error_type"]) == ("lost", "MessageLost")
    assert reason in event["error"]


def test_what_is_somewhere_is_left_alone():
    for pk in ("waits", "urgent", "received", "held", "later", "young", "node", "follows", "unsent"):
        queued(pk)
    current_app.send_task("demo.echo", task_id="waits", queue="default")
    current_app.send_task("demo.echo", task_id="later", queue="default", countdown=3600)
    redis.client().lmove("default", "elsewhere")
    received("demo.echo", "received")
    redis.client().lmove("elsewhere", "default")
    current_app.send_task("demo.echo", task_id="urgent", queue="default", priority=9)
    worker("w@a/1", held=["held"])
    Job.objects.filter(pk="young").update(queued_at=timezone.now())
    Job.objects.filter(pk="node").update(workflow_id="w")
    Job.objects.filter(pk="follows").update(answer_of="other")
    Job.objects.filter(pk="unsent").update(queued_event=0)
    assert look() == []


def test_a_queue_too_long_to_be_read_gives_no_verdict(monkeypatch):
    monkeypatch.setattr(missing_messages, "MOST_READ", 3)
    queued("a")
    for number in range(4):
        current_app.send_task("demo.echo", task_id=f"other-{number}", queue="default")
    assert look() == []


def test_nothing_is_believed_at_first_sight(settings):
    settings.JOBROOM = settings.JOBROOM | {"WORKERS_RESCUE_MARGIN": 60}
    queued("a")
    assert look() == []
    assert waiting() == []


def test_a_scheduled_job_whose_time_has_passed_counts_too():
    past = timezone.now() - timedelta(minutes=5)
    queued("a", state=State.SCHEDULED, run_after=past)
    queued("b", state=State.SCHEDULED, run_after=timezone.now() + timedelta(hours=1))
    assert look() == ["a"]


def ran(pk: str, retries: int = 0) -> None:
    """Let the job have run, and its events be lost."""
    events.write("started", pk, {"execution": "x", "retries": retries})
    events.write("finished", pk, {"execution": "x", "state": "succeeded"})
    redis.client().delete(events.stream())


def test_one_that_ran_is_not_sent_again_but_gets_its_end():
    queued("a")
    ran("a")
    assert look() == ["a"]
    assert waiting() == []
    (event,) = [event for event in reported("a") if event["type"] == "finished"]
    assert (event["state"], event["error"]) == ("lost", "It ran, and how it ended was lost with its events.")


def test_one_whose_earlier_attempt_ran_is_sent_again():
    queued("a", facts={"retries": 1})
    ran("a")
    assert look() == ["a"]
    assert waiting() == ["a"]


def test_one_that_runs_is_left_to_its_worker():
    queued("a")
    events.write("started", "a", {"execution": "x", "retries": 0})
    redis.client().delete(events.stream())
    look()
    assert (waiting(), reported("a")) == ([], [])


def test_nothing_is_sent_again_for_ever(settings):
    settings.JOBROOM = settings.JOBROOM | {"MAX_LOST": 2}
    queued("a")
    look()
    assert waiting() == ["a"]
    assert missing_messages.round_of(consumer.mark()) == []  # its message is seen
    redis.client().delete("default")
    look()
    assert waiting() == []
    assert "too often" in reported("a")[-1]["error"]


# RabbitMQ, which counts messages and shows none ---------------------------------------------------------------------------


def replaced(pk: str) -> Job:
    """Return a job that has given its place to others, and waits for them."""
    return queued(pk, queue="", queued_event=1, facts={"replaced": {"event": 2}})


@pytest.mark.sql
def test_a_job_that_gave_its_place_away_is_left_alone_until_celery_has_its_end():
    for pk in ("waits", "failed", "goes on"):
        replaced(pk)
    queued("sent since", queue="", queued_event=3, facts={"replaced": {"event": 2}})
    for pk in ("failed", "sent since"):
        current_app.backend.mark_as_failure(pk, ValueError("no luck"))
    assert look() == []
    current_app.backend.mark_as_failure("goes on", ValueError("after the last look"))
    event = reported("failed")[0]
    assert (event["state"], event["error"]) == ("failed", "no luck")
    assert [reported(pk) for pk in ("waits", "goes on", "sent since")] == [[], [], []]
    assert waiting() == []


def test_a_job_whose_end_cannot_be_read_holds_up_no_other(monkeypatch):
    replaced("a")
    queued("b")
    queued("c")

    def broken(job, *args):
        raise ValueError(job.pk)

    monkeypatch.setattr(missing_messages, "known_end", broken)
    events.emit("started", "b", execution="e", task="demo.echo", retries=0)
    events.emit("finished", "b", execution="e", state="succeeded")
    assert look() == ["b", "c"]
    assert waiting() == ["c"]


@pytest.mark.sql
def test_many_that_wait_for_what_took_their_place_hide_none_behind_them(monkeypatch):
    monkeypatch.setattr(missing_messages, "MOST", 2)
    for number in range(5):
        replaced(f"job {number}")
    current_app.backend.mark_as_failure("job 4", ValueError("no luck"))
    for _ in range(3):
        assert missing_messages.round_of(consumer.mark()) == []
    assert len(reported("job 4")) == 1


@pytest.fixture
def rabbit(monkeypatch):
    """Let the broker be one that says how many messages and consumers a queue has; return these numbers by queue."""
    counted = {}

    @contextmanager
    def hidden():
        yield None

    class Channel:
        def __enter__(self):
            return self

        def __exit__(self, *error):
            return None

        def queue_declare(self, queue, passive):
            assert passive
            if queue not in counted:
                raise NotFound(queue)
            return SimpleNamespace(message_count=counted[queue][0], consumer_count=counted[queue][1])

    connection = SimpleNamespace(transport=SimpleNamespace(driver_type="amqp"), channel=Channel)
    monkeypatch.setattr(missing_messages.broker, "connect", hidden)
    monkeypatch.setattr(missing_messages.broker, "pooled", lambda: nullcontext(connection))
    return counted


@pytest.mark.parametrize(("count", "consumers", "gone"), [(0, 1, True), (0, 0, True), (1, 1, False), (0, 2, False)])
def test_of_an_empty_queue_of_rabbitmq_a_job_is_sent_again(rabbit, count, consumers, gone):
    worker("w@a/1", held=["held"])
    for pk in ("a", "held", "later"):
        queued(pk)
    current_app.send_task("demo.echo", task_id="later", queue="default", countdown=3600)
    rabbit["default"] = (count, consumers)
    assert look() == (["a"] if gone else [])


def test_of_a_queue_that_rabbitmq_does_not_have_a_job_is_sent_again(rabbit):
    queued("a")
    assert look() == ["a"]

"""Before the code of a job runs its worker asks Redis and the database; without an answer the job waits, and does not fail."""

import json
from datetime import timedelta
from types import SimpleNamespace
from unittest import mock

import pytest
from celery.app.trace import build_tracer
from django.contrib.auth.models import User
from django.db import InterfaceError, OperationalError
from django.test import TestCase
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerAway

from image.celery import app
from jobroom import events, redis
from jobroom.arguments import Schema
from jobroom.celery import unavailable_services
from jobroom.events import cancellation
from jobroom.exceptions import RedisUnavailable
from jobroom.jobs import gate, launches
from jobroom.jobs.models import Source
from jobroom.locks import ExclusiveLock, requeue
from jobroom.tasks import BaseTask, exclusive_task

pytestmark = pytest.mark.django_db
RUNS: list[str] = []
PAUSES: list[float] = []


class Away:
    """Stands for a function whose server is away for some calls."""

    def __init__(self, real, *errors):
        self.real, self.errors = real, list(errors)

    def __call__(self, *args, **kwargs):
        if self.errors:
            raise self.errors.pop(0)
        return self.real(*args, **kwargs)


@pytest.fixture(autouse=True)
def _clean(monkeypatch):
    redis.client().flushdb()
    RUNS.clear()
    PAUSES.clear()
    events._unsent.clear()
    clock = SimpleNamespace(sleep=PAUSES.append)
    monkeypatch.setattr(unavailable_services, "time", clock)
    monkeypatch.setattr(requeue, "time", clock)
    yield
    events._unsent.clear()


@pytest.fixture
def task():
    @app.task(name="scratch.asked", shared=False, base=BaseTask, autoretry_for=(Exception,))
    def asked(text: str = ""):
        RUNS.append(text)

    yield asked
    app.tasks.pop("scratch.asked")


@pytest.fixture
def locked():
    @app.task(name="scratch.locked", shared=False, base=BaseTask)
    @exclusive_task("Locked", "locked")
    def locked():
        RUNS.append("locked")

    yield locked
    app.tasks.pop("scratch.locked")


def waiting():
    return [json.loads(text) for text in redis.client().lrange("default", 0, -1)]


def start():
    """Run the oldest message of the queue, as a pool process does."""
    message = json.loads(redis.client().rpop("default"))
    headers = message["headers"]
    with app.connection_for_read() as connection:
        text = connection.default_channel.decode_body(message["body"], message["properties"]["body_encoding"])
    args, kwargs, _ = json.loads(text)
    found = app.tasks[headers["task"]]
    request = {**headers, "hostname": "h", "delivery_info": {}, "headers": headers, "is_eager": False}
    build_tracer(found.name, found, app=app)(headers["id"], args, kwargs, request)
    return headers


def reported(*kinds):
    rows = [json.loads(fields["e"]) for _, fields in redis.client().xrange(events.stream())]
    return [event for event in rows if event["type"] in kinds]


def launched_for_later(settings):
    settings.JOBROOM = settings.JOBROOM | {"HELD_AT_MOST": 3600}
    owner = User.objects.create_superuser("ada")
    with TestCase.captureOnCommitCallbacks(execute=True):
        return launches.launch(
            task="scratch.asked", arguments={"text": "x"}, by=owner, source=Source.PAGE,
            run_after=timezone.now() + timedelta(seconds=10),
        )  # fmt: skip


@pytest.mark.parametrize(
    "error", [OperationalError("server closed the connection"), InterfaceError("connection closed")]
)
def test_a_job_whose_rights_cannot_be_asked_goes_back_to_its_queue(task, settings, monkeypatch, error):
    job = launched_for_later(settings)
    monkeypatch.setattr(gate, "admit", Away(gate.admit, error, error))
    for tries in (1, 2):
        start()
        (message,) = waiting()
        assert message["headers"]["id"] == job.pk
        assert message["headers"][requeue.UNANSWERED_HEADER] == [tries, 0]
        assert (RUNS, reported("finished", "retrying")) == ([], [])
        assert str(error) in reported("waiting")[-1]["error"]
    start()
    assert RUNS == ["x"]
    (end,) = reported("finished")
    assert (end["state"], waiting()) == ("succeeded", [])
    assert len(reported("queued")) == 1  # it is the same attempt all the time


def test_who_lost_the_right_meanwhile_is_still_asked(task, settings, monkeypatch):
    launched_for_later(settings)
    monkeypatch.setattr(gate, "admit", Away(gate.admit, OperationalError("away")))
    start()
    User.objects.update(is_active=False)
    start()
    assert RUNS == []
    assert reported("finished")[-1]["error"] == "It was not started: The account of its owner is closed."


def test_rows_that_cannot_be_loaded_now_are_loaded_later(task, monkeypatch):
    away = Away(Schema.received, OperationalError("away"))

    def received(self, *args):
        return away(self, *args)

    monkeypatch.setattr(Schema, "received", received)
    task.delay("y")
    start()
    assert (RUNS, len(waiting())) == ([], 1)
    start()
    assert RUNS == ["y"]


def test_the_pause_grows_to_half_a_minute(task, monkeypatch):
    monkeypatch.setattr(Schema, "received", lambda *_: (_ for _ in ()).throw(OperationalError("away")))
    pauses = []
    monkeypatch.setattr(requeue, "send_again", lambda request, countdown, mark: pauses.append((countdown, mark)))
    mark = {}
    for _ in range(8):
        task.push_request(id="j", headers=mark, called_directly=False, is_eager=False)
        try:
            task()
        except unavailable_services.Ignore:
            mark = pauses[-1][1]
        finally:
            task.pop_request()
    assert 0.7 <= pauses[0][0] <= 1.3
    assert 21 <= pauses[-1][0] <= 39
    assert pauses[-1][1] == {requeue.UNANSWERED_HEADER: [8, 0]}


def test_while_no_one_can_be_notified_the_job_waits_where_it_is(task, settings, monkeypatch):
    launched_for_later(settings)
    monkeypatch.setattr(gate, "admit", Away(gate.admit, OperationalError("away")))
    monkeypatch.setattr(events, "ask", _away_for("waiting", redis.Error("away")))
    start()
    assert (RUNS, len(PAUSES), waiting(), events._unsent) == (["x"], 1, [], type(events._unsent)())
    assert [event["type"] for event in reported("started", "waiting", "finished")] == ["started", "finished"]


def _away_for(kind, *errors):
    """Return `events.ask`, with a Redis that is away for the first events of one kind."""
    real, left = events.ask, list(errors)

    def ask(event_type, job, data):
        if event_type == kind and left:
            raise left.pop(0)
        return real(event_type, job, data)

    return ask


def test_no_job_starts_before_redis_has_said_that_it_may(task, monkeypatch):
    monkeypatch.setattr(events, "ask", _away_for("started", *[redis.Error("away")] * 3))
    task.delay("x")
    start()
    assert (RUNS, len(PAUSES)) == (["x"], 2)
    assert [event["type"] for event in reported("started", "finished")] == ["started", "finished"]


def test_a_job_that_was_cancelled_meanwhile_does_not_start(task, monkeypatch):
    job = task.delay("x").id
    monkeypatch.setattr(events, "ask", _away_for("started", *[redis.Error("away")] * 2))
    monkeypatch.setattr(unavailable_services.time, "sleep", lambda _: cancellation.request(job, "ada"))
    start()
    assert RUNS == []
    assert {event["state"] for event in reported("finished")} == {"cancelled"}


def test_a_second_delivery_is_refused_also_when_it_comes_while_redis_is_away(task, monkeypatch):
    task.delay("x")
    message = redis.client().lindex("default", 0)
    start()
    redis.client().lpush("default", message)
    monkeypatch.setattr(events, "ask", _away_for("started", *[redis.Error("away")] * 2))
    start()
    assert RUNS == ["x"]
    assert len(reported("finished")) == 1


def test_a_lock_that_cannot_be_asked_for_is_no_failure_of_its_job(locked, monkeypatch):
    errors = [RedisUnavailable("The lock locked cannot be asked for: away")] * 2
    away = Away(ExclusiveLock.acquire, *errors)
    monkeypatch.setattr(ExclusiveLock, "acquire", lambda self, wait=0.0: away(self, wait))
    locked.delay()
    start()
    assert (RUNS, len(PAUSES)) == (["locked"], 2)
    away.errors.append(RedisUnavailable("away"))
    with pytest.raises(RedisUnavailable):
        locked()


def test_a_job_that_has_to_go_back_is_sent_as_soon_as_the_broker_answers(task, settings, monkeypatch):
    launched_for_later(settings)
    monkeypatch.setattr(gate, "admit", Away(gate.admit, OperationalError("away")))
    real, left = BaseTask.apply_async, [BrokerAway("away"), BrokerAway("away")]

    def apply_async(self, *args, **options):
        if left:
            raise left.pop()
        return real(self, *args, **options)

    with mock.patch.object(BaseTask, "apply_async", apply_async):
        start()
    assert (RUNS, len(PAUSES), len(waiting())) == ([], 2, 1)
    assert reported("finished") == []
    start()
    assert RUNS == ["x"]

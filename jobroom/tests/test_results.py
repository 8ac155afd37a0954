"""The result backend behaves as Celery's own, but looks before it writes only where that matters."""

import json
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from unittest import mock

import pytest
from celery.app.trace import build_tracer
from celery.backends.base import DisabledBackend

from image.celery import app
from jobroom import events, redis
from jobroom.celery import results
from jobroom.celery.results import ResultBackend, kept_result, seconds_kept
from jobroom.jobs.models import Job
from jobroom.tasks import BaseTask
from jobroom.testing import wait_until
from jobroom.workers.results import known_end


@pytest.fixture(autouse=True)
def clean():
    yield
    redis.client().flushdb()


def test_it_is_the_one_in_use():
    assert isinstance(app.backend, ResultBackend)


def test_a_success_is_kept_without_looking_first():
    with mock.patch.object(ResultBackend, "_get_task_meta_for") as look:
        app.backend.mark_as_done("j1", {"n": 1})
    assert not look.called
    result = app.AsyncResult("j1")
    assert (result.state, result.result) == ("SUCCESS", {"n": 1})
    assert 0 < redis.client().ttl("celery-task-meta-j1") <= 24 * 3600


def test_who_waits_is_notified():
    listener = redis.client().pubsub(ignore_subscribe_messages=True)
    listener.subscribe("celery-task-meta-j2")
    try:
        app.backend.mark_as_done("j2", "x")
        heard = None
        while heard is None:
            heard = listener.get_message(timeout=5)
    finally:
        listener.close()
    assert '"SUCCESS"' in heard["data"]


def test_a_late_failure_does_not_replace_a_success():
    app.backend.mark_as_done("j3", "good")
    app.backend.mark_as_failure("j3", ValueError("late"))
    assert app.AsyncResult("j3").state == "SUCCESS"


def test_a_success_replaces_what_went_wrong_before():
    app.backend.mark_as_failure("j4", ValueError("early"))
    app.backend.mark_as_done("j4", "good")
    assert app.AsyncResult("j4").result == "good"


def tried(number, began=0.0):
    """Return the request of a try that began so many seconds ago."""
    execution = SimpleNamespace(began=time.monotonic() - began, is_part=False, repeated=False, said=None)
    return SimpleNamespace(id="j5", retries=number, execution=execution, chain=None, group=None, parent_id=None)


@pytest.mark.parametrize("extended", [False, True])
@pytest.mark.parametrize("end", ["SUCCESS", "FAILURE"])
def test_a_try_that_says_late_that_another_one_comes_does_not_replace_how_that_one_ended(end, extended, monkeypatch):
    monkeypatch.setitem(app.backend.__dict__, "_extended", extended)  # then Celery makes what is kept
    first, second = tried(0, began=2.0), tried(1, began=0.5)
    app.backend.store_result("j5", ValueError("not yet"), "RETRY", request=first)
    assert app.AsyncResult("j5").state == "RETRY"
    app.backend.store_result("j5", "good" if end == "SUCCESS" else ValueError("for good"), end, request=second)
    app.backend.store_result("j5", ValueError("not yet"), "RETRY", request=first)
    assert app.AsyncResult("j5").state == end
    assert str(app.AsyncResult("j5").result) == ("good" if end == "SUCCESS" else "for good")


def test_a_try_of_a_later_life_replaces_how_the_life_before_ended():
    long_ago = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    app.backend.store_result("j5", ValueError("for good"), "FAILURE", request=tried(2))
    key = "celery-task-meta-j5"
    kept = json.loads(redis.client().get(key))
    assert kept["retries"] == 2
    redis.client().set(key, json.dumps(kept | {"date_done": long_ago}))
    app.backend.store_result("j5", ValueError("again"), "RETRY", request=tried(0))
    assert app.AsyncResult("j5").state == "RETRY"
    assert 0 < redis.client().ttl(key) <= 24 * 3600
    app.backend.store_result("j5", "good", "SUCCESS", request=tried(1))
    assert app.AsyncResult("j5").result == "good"


def test_a_second_delivery_that_is_tried_again_does_not_replace_a_success():
    app.backend.store_result("j5", "good", "SUCCESS", request=tried(0))
    app.backend.store_result("j5", ValueError("not yet"), "RETRY", request=tried(0))
    assert app.AsyncResult("j5").result == "good"


def test_the_end_of_the_same_try_is_replaced_by_its_next_one():
    """A worker that was lost said FAILURE in its name, and it goes on."""
    app.backend.store_result("j5", ValueError("lost"), "FAILURE", request=tried(0))
    app.backend.store_result("j5", ValueError("not yet"), "RETRY", request=tried(0))
    assert app.AsyncResult("j5").state == "RETRY"


class Scratch(BaseTask):
    """Runs in this process as a worker would run it."""

    name = "scratch.results"

    def run(self, n):
        return {"n": n}


class Hooked(Scratch):
    """Does something after its success."""

    name = "scratch.results.hooked"

    def on_success(self, retval, task_id, args, kwargs):
        assert app.AsyncResult(task_id).state == "SUCCESS", "Celery keeps the result before it calls the hook"


def run(task_class, job="j5"):
    """Run one job of the task in this process; return its events by type."""
    app.tasks.register(task_class())
    task = app.tasks[task_class.name]
    tracer = build_tracer(task.name, task, app=app)
    tracer(job, (1,), {}, {"id": job, "hostname": "h", "delivery_info": {}})
    app.tasks.unregister(task.name)
    rows = redis.client().xrange(events.stream())
    return [json.loads(fields["e"]) for _, fields in rows]


def test_a_result_goes_out_with_the_end_of_its_job():
    with mock.patch.object(ResultBackend, "set") as alone:
        reported = run(Scratch)
    assert not alone.called
    assert [event["type"] for event in reported] == ["started", "finished"]
    assert (reported[1]["state"], reported[1]["result"]) == ("succeeded", '{"n": 1}')
    assert app.AsyncResult("j5").result == {"n": 1}
    assert 0 < redis.client().ttl("celery-task-meta-j5") <= 24 * 3600
    assert not redis.client().exists(events.running_key("j5"))


def test_who_waits_for_it_is_notified():
    listener = redis.client().pubsub(ignore_subscribe_messages=True)
    listener.subscribe("celery-task-meta-j5")
    try:
        run(Scratch)
        heard = wait_until(lambda: listener.get_message(timeout=1))
    finally:
        listener.close()
    assert json.loads(heard["data"])["result"] == {"n": 1}


def test_hooks_still_find_the_result_and_belong_to_the_run():
    with mock.patch.object(ResultBackend, "set", autospec=True, side_effect=ResultBackend.set) as alone:
        reported = run(Hooked)
    assert alone.called
    assert [event["type"] for event in reported] == ["started", "finished"]


def test_if_both_cannot_go_out_together_each_goes_alone(caplog):
    with mock.patch.object(redis, "evaluate", side_effect=[None, redis.Error("away"), None]):
        run(Scratch)
    assert app.AsyncResult("j5").result == {"n": 1}
    assert "could not be written with its result" in caplog.text


def test_with_a_result_backend_elsewhere_each_goes_alone():
    with mock.patch.object(app.backend, "url", "redis://elsewhere/0"):
        reported = run(Scratch)
    assert [event["type"] for event in reported] == ["started", "finished"]
    assert app.AsyncResult("j5").result == {"n": 1}


def test_a_publish_subscribes_to_nothing_and_get_does():
    from demo import tasks as demo

    consumer = app.backend.result_consumer
    before = set(consumer.subscribed_to)
    sent = demo.echo.delay("x")
    assert consumer.subscribed_to == before
    app.backend.mark_as_done(sent.id, "answer")
    assert sent.get(timeout=10) == "answer"


def test_a_project_without_a_result_backend_is_not_asked(monkeypatch):
    """Celery's stand-in for none has no method that reads: rescue, the cache and Django's tasks go by the database."""
    assert kept_result("j4").state == "PENDING"
    monkeypatch.setattr(type(app), "backend", DisabledBackend(app))
    assert kept_result("j4") is None
    assert known_end(Job(pk="j4")) is None


@pytest.mark.parametrize(
    ("expires", "seconds"),
    [(timedelta(days=2), 172_800), (3600, 3600), (None, 86_400), (0, 86_400), (timedelta(0), 86_400)],
)
def test_how_long_results_are_kept_is_read_in_each_form_that_celery_takes(monkeypatch, expires, seconds):
    """Its default is a `timedelta`, which a project has that says nothing of it."""
    conf = SimpleNamespace(result_expires=expires)
    monkeypatch.setattr(results, "current_app", SimpleNamespace(conf=conf))
    assert seconds_kept() == seconds

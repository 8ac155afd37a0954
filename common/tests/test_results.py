"""The result backend behaves as Celery's own, but looks before it writes only where that matters."""

from unittest import mock

import pytest

from common import redis
from common.results import ResultBackend
from image.celery import app


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


def test_whoever_waits_is_told():
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

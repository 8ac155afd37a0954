"""Events reach the stream, and wait for Redis when it is away."""

import json
from unittest import mock

import pytest

from common import events, redis


@pytest.fixture(autouse=True)
def empty_stream():
    redis.client().delete(events.stream())
    events._unsent.clear()
    yield
    events._unsent.clear()
    redis.client().delete(events.stream())


def written():
    return [json.loads(fields["e"]) for _, fields in redis.client().xrange(events.stream())]


def test_an_event_is_written_with_its_time():
    assert events.emit("log", "j1", message="hello")
    (event,) = written()
    assert event["type"] == "log"
    assert event["job"] == "j1"
    assert event["message"] == "hello"
    assert event["at"] > 1_700_000_000


def test_what_json_does_not_know_becomes_text():
    assert events.emit("log", "j1", obj={"when": object})
    assert written()[0]["obj"] == {"when": "<class 'object'>"}


def test_what_cannot_be_written_is_logged_and_kills_nothing(caplog):
    loop: list = []
    loop.append(loop)
    assert events.emit("log", "j1", obj=loop) is False
    assert "cannot be written as JSON" in caplog.text
    assert written() == []


def test_events_wait_for_redis_and_keep_their_order(caplog):
    with mock.patch.object(events.redis, "client", side_effect=redis.Error("away")):
        assert events.emit("log", "j1", message="first") is False
        assert events.emit("log", "j1", message="second") is False
    assert "waits for Redis" in caplog.text
    assert events.emit("log", "j1", message="third")
    assert [event["message"] for event in written()] == ["first", "second", "third"]
    assert not events._unsent


def test_the_stream_is_bounded(settings):
    settings.COMMON_EVENTS_KEPT = 100
    for _ in range(500):
        events.emit("log", "j1")
    assert redis.client().xlen(events.stream()) < 300

"""Events reach the stream, and wait for Redis when it is away."""

import json
from unittest import mock

import pytest
from celery.exceptions import SoftTimeLimitExceeded

from jobroom import events, redis


@pytest.fixture(autouse=True)
def empty_stream():
    _empty()
    yield
    _empty()


def _empty():
    """Forget all events: what a job's own stream kept is no older than what comes next, and Redis would refuse that."""
    redis.client().delete(events.stream(), events.recent("j1"), events.recent("j2"))
    events._unsent.clear()


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
    with mock.patch.object(redis, "line", side_effect=redis.Error("away")):
        assert events.emit("log", "j1", message="first") is False
        assert events.emit("log", "j1", message="second") is False
    assert "Redis is unavailable" in caplog.text
    assert events.emit("log", "j1", message="third")
    assert [event["message"] for event in written()] == ["first", "second", "third"]
    assert not events._unsent


def test_the_stream_is_bounded(settings):
    settings.JOBROOM = settings.JOBROOM | {"EVENTS_KEPT": 100}
    for _ in range(500):
        events.emit("log", "j1")
    assert redis.client().xlen(events.stream()) < 300


def test_a_sequence_number_is_a_stream_position():
    position = str(redis.client().xadd(events.stream(), {"e": "{}"}))
    assert events.position(events.sequence(position)) == position


def test_who_watches_hears_of_it_with_its_number():
    listener = redis.client().pubsub(ignore_subscribe_messages=True)
    listener.subscribe(events.channel("j1"))
    try:
        events.emit("log", "j1", message="hello")
        message = None
        while message is None:
            message = listener.get_message(timeout=5)
    finally:
        listener.close()
    heard = json.loads(message["data"])
    ((position, _),) = redis.client().xrange(events.stream())
    assert heard["seq"] == events.sequence(position)
    assert heard["message"] == "hello"


def test_log_lines_can_be_caught_up_on():
    for n in range(3):
        events.emit("log", "j2", message=n)
    events.emit("finished", "j2", state="succeeded")
    first, *later = events.replay("j2", 0)
    assert [event["message"] for event in later] == [1, 2]
    assert events.replay("j2", first["seq"]) == later
    assert 0 < redis.client().ttl(events.recent("j2")) <= 3600


def test_the_script_is_loaded_again_after_a_restart_of_redis():
    assert events.emit("file", "j1", message="first")
    redis.client().script_flush()
    assert events.emit("file", "j1", message="second")
    assert [event["message"] for event in written()] == ["first", "second"]


def test_an_answer_that_no_one_waited_for_is_not_taken_for_the_next():
    redis.client().set(events.cancel_key("j1"), "asked")
    try:
        events.emit("file", "j1", message="first")
        line = redis.line()
        with (
            mock.patch.object(line.connection, "read_response", side_effect=SoftTimeLimitExceeded),
            pytest.raises(SoftTimeLimitExceeded),
        ):
            events.emit("file", "j1", message="interrupted after its question was sent")
        assert events.write("file", "j2", {"message": "other"}) == (True, None)
    finally:
        redis.client().delete(events.cancel_key("j1"))

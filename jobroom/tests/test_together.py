"""Messages that go to Redis in one round trip, with what is reported of them."""

import contextlib
import json
from unittest import mock

import pytest
from celery import Celery, signals
from celery.app import app_or_default
from kombu.exceptions import EncodeError, OperationalError
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import TimeoutError as TimedOut

from jobroom import events, redis
from jobroom.celery import held_settings, publisher
from jobroom.testing.brokers import fresh_pools

QUEUE, OTHER = "together", "apart"
TASK = "common.tasks.clearsessions"


@pytest.fixture(autouse=True)
def _empty(monkeypatch):
    _end_silence(monkeypatch)
    redis.client().flushdb()
    yield
    _end_silence(monkeypatch)
    redis.client().flushdb()


def _end_silence(monkeypatch):
    for module in (redis, publisher):
        monkeypatch.setattr(module, "_silent_until", 0.0)


@pytest.fixture
def app():
    """Celery's application, connected to its broker, which knows the queues."""
    app = app_or_default()
    for queue in (QUEUE, OTHER):
        _send(app, None, queue)
    redis.client().flushdb()
    return app


def _send(app, producer, queue=QUEUE, name=TASK, args=()):
    return app.send_task(name, args, queue=queue, producer=producer).id


def _waiting(queue=QUEUE):
    """Return the ids of the jobs in a queue, the first one first."""
    texts = redis.client().lrange(queue, 0, -1)
    return [json.loads(text)["headers"]["id"] for text in reversed(texts)]


def _reported():
    return [json.loads(fields["e"])["job"] for _, fields in redis.client().xrange(events.stream())]


def test_all_are_there_in_order_after_one_round_trip_and_none_before(app):
    with publisher.together(app) as messages:
        jobs = [_send(app, messages, queue) for queue in (QUEUE, OTHER, QUEUE)]
        assert (_waiting(), _waiting(OTHER), _reported()) == ([], [], [])
        messages.report()
        assert (_waiting(), _reported()) == ([], jobs), "what is reported goes before, as with one message"
        with mock.patch("redis.client.Redis.execute_command", side_effect=AssertionError("a round trip for one")):
            assert messages.send() == {}
    assert (_waiting(), _waiting(OTHER)) == ([jobs[0], jobs[2]], [jobs[1]])
    assert _reported() == jobs


def test_what_is_not_sent_is_dropped(app):
    with publisher.together(app) as messages:
        _send(app, messages)
    with contextlib.suppress(KeyboardInterrupt), publisher.together(app) as messages:
        _send(app, messages)
        raise KeyboardInterrupt
    assert (_waiting(), _reported()) == ([], [])


def test_nothing_is_sent_without_a_word_to_the_server(app):
    with mock.patch("redis.client.Pipeline.execute", side_effect=AssertionError), publisher.together(app) as messages:
        messages.report()
        assert messages.send() == {}


def test_every_receiver_hears_of_every_message(app):
    heard = []

    def hear(sender, headers, **_):
        heard.append(headers["id"])

    for signal in (signals.before_task_publish, signals.after_task_publish):
        signal.connect(hear)
    try:
        with publisher.together(app) as messages:
            jobs = [_send(app, messages, name=name) for name in (TASK, "unknown.here")]
            messages.send()
    finally:
        for signal in (signals.before_task_publish, signals.after_task_publish):
            signal.disconnect(hear)
    assert heard == [jobs[0], jobs[0], jobs[1], jobs[1]]


def test_what_the_server_says_against_one_message_says_nothing_of_the_others(app):
    redis.client().set(OTHER, "no list")
    with publisher.together(app) as messages:
        jobs = [_send(app, messages, queue) for queue in (QUEUE, OTHER, QUEUE)]
        refused = messages.send()
    assert list(refused) == [1]
    assert "WRONGTYPE" in str(refused[1])
    assert _waiting() == [jobs[0], jobs[2]]


def test_what_cannot_be_written_raises_at_once_and_leaves_the_others(app):
    with publisher.together(app) as messages:
        first = _send(app, messages)
        with pytest.raises((EncodeError, TypeError)):
            _send(app, messages, args=[object()])
        second = _send(app, messages)
        assert messages.number == 2
        assert messages.send() == {}
    assert _waiting() == [first, second]


def test_a_server_that_is_gone_is_asked_again_by_the_next(app):
    lost = ConnectionLost("gone")
    with mock.patch("redis.client.Pipeline.execute", side_effect=lost), publisher.together(app) as messages:
        _send(app, messages)
        with pytest.raises(OperationalError, match="gone"):
            messages.send()
    assert _waiting() == []
    with publisher.together(app) as messages:
        job = _send(app, messages)
        messages.send()
    assert _waiting() == [job]


def test_a_server_that_stands_still_is_waited_for_once(app, monkeypatch):
    in_vain = TimedOut("in vain")
    with mock.patch("redis.client.Pipeline.execute", side_effect=in_vain) as asked, publisher.together(app) as messages:
        _send(app, messages)
        for _ in range(2):
            with pytest.raises(OperationalError, match="stands still"):
                messages.send()
    assert asked.call_count == 1
    with pytest.raises(OperationalError, match="stands still"):
        _send(app, None)
    _end_silence(monkeypatch)
    assert _waiting() == []


def test_another_broker_and_one_without_a_connection_yet_take_each_by_itself(app):
    other = Celery("other", broker="memory://", set_as_current=False)
    with other.producer_or_acquire() as producer:
        producer.connection.ensure_connection(max_retries=1)
    new = Celery("new", broker=app.conf.broker_url, set_as_current=False)
    for each in (other, new):
        with publisher.together(each) as messages:
            assert messages is None


def test_who_publishes_by_itself_makes_the_connection_for_those_that_follow(app):
    fresh_pools()
    with publisher.together(app) as messages:
        assert messages is None
        _send(app, messages)
    with publisher.together(app) as messages:
        assert messages is not None


def test_settings_are_at_hand_and_what_changes_meanwhile_stays(app):
    before = dict(app.conf.changes)
    said = {name: app.conf[name] for name in held_settings.ASKED}
    with held_settings.held(app.conf):
        assert {name: app.conf.changes[name] for name in held_settings.ASKED} == said
    assert app.conf.changes == before
    with held_settings.held(app.conf):
        app.conf.task_repr_maxlevels = 77
    assert app.conf.changes.pop("task_repr_maxlevels") == 77
    assert app.conf.changes == before

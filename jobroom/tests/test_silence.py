"""A server that stands still is waited for once, and not by each command or publish; one that restarts is waited out."""

import contextlib
import socket
import time

import pytest
from django import db
from kombu.exceptions import OperationalError

from image.celery import app
from jobroom import redis
from jobroom.celery import publisher
from jobroom.testing import refusing_port
from jobroom.testing.brokers import broker


@pytest.fixture(autouse=True)
def _no_one_is_silent(monkeypatch):
    monkeypatch.setattr(redis, "_silent_until", 0.0)
    monkeypatch.setattr(publisher, "_silent_until", 0.0)
    # A silence that was noticed lasts as long as the test, however long this process is kept waiting.
    monkeypatch.setattr(redis, "SILENCE", 3600.0)


@pytest.fixture
def mute():
    """Return a server that takes connections and answers nothing."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.setblocking(False)
        yield server


@pytest.fixture
def frozen(monkeypatch, mute):
    """Return a client of that server."""
    monkeypatch.setattr(redis, "SOCKET_TIMEOUT", 0.2)
    retry = redis.connect().get_retry()
    return redis.Client(host="127.0.0.1", port=mute.getsockname()[1], retry=retry, socket_timeout=0.2)


def connections(server):
    """Return how many connections were made to the server since they were counted last."""
    count = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            server.accept()[0].close()
            count += 1
    return count


def test_the_first_command_waits_and_the_next_ones_fail_at_once(frozen, mute):
    with pytest.raises(redis.LostError):
        frozen.ping()
    assert redis.is_silent()
    assert connections(mute) == 1, "it is asked once, and not eight times with pauses"
    for ask in (frozen.ping, redis.client().ping, lambda: redis.evaluate(redis.script("return 1"), [], [])):
        with pytest.raises(redis.LostError, match="stands still"):
            ask()


def test_it_is_asked_again_after_a_moment(frozen, monkeypatch):
    with pytest.raises(redis.LostError):
        frozen.ping()
    monkeypatch.setattr(redis, "_silent_until", time.monotonic())
    assert redis.client().ping()
    assert redis.evaluate(redis.script("return 1"), [], []) == 1


def test_a_server_that_refuses_is_waited_out(monkeypatch):
    monkeypatch.setattr(redis, "LONGEST_PAUSE", 0.3)
    with refusing_port() as port:
        silent = redis.Client(host="127.0.0.1", port=port, retry=redis.connect().get_retry())
        began = time.monotonic()
        with pytest.raises(redis.LostError):
            silent.ping()
    assert time.monotonic() - began > 1
    assert not redis.is_silent()


@pytest.mark.parametrize(("held", "tries"), [(True, 1), (False, 1 + redis.TRIES)])
def test_in_a_transaction_no_one_waits_for_a_server_that_refuses(monkeypatch, held, tries):
    monkeypatch.setattr(redis, "HELD", 0.0)
    monkeypatch.setattr(redis, "LONGEST_PAUSE", 0.0)
    monkeypatch.setattr(db.connections["default"], "in_atomic_block", held)
    tried = []

    def refuse():
        tried.append(1)
        raise redis.LostError[0]

    with pytest.raises(redis.LostError):
        redis.connect().get_retry().call_with_retry(refuse, lambda _: None)
    assert len(tried) == tries


def test_nothing_is_published_to_a_broker_that_stands_still():
    publisher._note_silence(app)
    with pytest.raises(OperationalError, match="stands still"):
        app.send_task("demo.echo", ["x"])
    with pytest.raises(redis.LostError):
        redis.client().ping()  # they are one server here


class TimeoutHere(OSError):
    """Stands for what a client raises that waited in vain."""


@pytest.mark.parametrize(
    ("error", "in_job", "goes_on"),
    [(TimeoutHere(), False, False), (TimeoutHere(), True, True), (ConnectionError(), False, True)],
)
def test_who_publishes_tries_again_but_not_after_waiting_in_vain(error, in_job, goes_on):
    heard = []
    patience = publisher._Patience(app, in_job=in_job, errback=lambda *given: heard.append(given))
    if goes_on:
        patience(error, 0.2)
        assert heard == [(error, 0.2)]
        patience.end = time.monotonic() - 1
    with pytest.raises(type(error)):
        patience(error, 0.2)


def test_a_broker_of_its_own_is_waited_for_once(settings):
    """A process without a connection waits for one first; what it waited in vain is known to the next publish."""
    settings.JOBROOM = settings.JOBROOM | {"PUBLISH_TIMEOUT": 0.3}
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        with broker(f"redis://127.0.0.1:{server.getsockname()[1]}/0"):
            began = time.monotonic()
            for _ in range(5):
                with pytest.raises(OperationalError, match="stands still"):
                    app.send_task("demo.echo", ["x"])
    assert time.monotonic() - began < 28, "thirty seconds were one wait of an unbounded connection"
    assert redis.client().ping(), "our own Redis is another server"

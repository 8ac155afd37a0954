"""Beat's sign of life."""

import pytest

from jobroom import redis
from jobroom.celery import beat


@pytest.fixture(autouse=True)
def _silence(monkeypatch):
    monkeypatch.setattr(beat, "_said", float("-inf"))
    redis.client().delete(beat.key())
    yield
    redis.client().delete(beat.key())


def test_a_beat_that_never_ticked_has_no_sign():
    assert beat.last_beat_tick() is None


def test_the_sign_is_on_the_servers_clock_and_comes_once_a_second(monkeypatch):
    assert beat.INTERVAL == 1
    monkeypatch.setattr(beat, "INTERVAL", 3600.0)  # a busy machine takes more than a second between two calls
    before = redis.now()
    assert beat.beat_tick()
    assert not beat.beat_tick()
    assert before <= beat.last_beat_tick() <= redis.now()


def test_a_redis_that_is_away_is_only_logged(settings, caplog):
    settings.JOBROOM = settings.JOBROOM | {"REDIS_URL": "redis://127.0.0.1:1/0"}
    assert not beat.beat_tick()
    assert "Redis is unavailable" in caplog.text

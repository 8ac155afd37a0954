"""A worker that has said good-bye is not heard of again."""

import pytest

from jobroom import redis
from jobroom.events import heartbeat


@pytest.fixture(autouse=True)
def _empty_redis():
    redis.client().flushdb()


def test_a_beat_that_was_delayed_does_not_come_after_the_good_bye(monkeypatch):
    beating = heartbeat.Heartbeat(None)

    def slowly():
        beating.stop()
        return {}

    monkeypatch.setattr(beating, "describe", slowly)
    beating.beat()
    assert heartbeat.workers() == []
    assert not redis.client().exists(heartbeat.data_key(heartbeat.instance()))


def test_the_good_bye_is_said_also_by_one_that_ends_before_its_second_beat(monkeypatch):
    beating = heartbeat.Heartbeat(None)
    monkeypatch.setattr(beating, "describe", dict)
    monkeypatch.setattr(heartbeat, "_heartbeat", beating)
    beating.beat()
    assert redis.client().exists(heartbeat.data_key(heartbeat.instance()))
    heartbeat._stop()
    assert not redis.client().exists(heartbeat.data_key(heartbeat.instance()))


def test_a_forked_process_says_no_good_bye_for_its_parent(monkeypatch):
    beating = heartbeat.Heartbeat(None)
    monkeypatch.setattr(beating, "describe", dict)
    monkeypatch.setattr(beating, "owner", beating.owner + 1)
    monkeypatch.setattr(heartbeat, "_heartbeat", beating)
    beating.beat()
    heartbeat._stop()
    assert redis.client().exists(heartbeat.data_key(heartbeat.instance()))

"""An overdue heartbeat of a worker with greenlets is repeated, with the jobs at hand by then, and not after its good-bye."""

import threading
import time
from types import SimpleNamespace

import pytest

from jobroom import redis
from jobroom.events import green, heartbeat
from jobroom.events.pacemaker import Pacemaker


@pytest.fixture
def beating(monkeypatch):
    """Return the heartbeat of a worker that said something an hour ago, and holds one more job since."""
    redis.client().flushdb()
    monkeypatch.setattr(heartbeat, "_instance", "green@h/1")
    controller = SimpleNamespace(
        hostname="green@h", concurrency=2, pool_cls=SimpleNamespace(__module__="celery.concurrency.gevent"),
        app=SimpleNamespace(amqp=SimpleNamespace(queues=SimpleNamespace(consume_from=["default"]))),
    )  # fmt: skip
    said = heartbeat.Heartbeat(controller)
    said.beat()
    monkeypatch.setattr(said, "at_hand", lambda: {"held": ["new"], "tags": ["7"]})
    return said


def test_it_repeats_what_was_said_with_what_came_since(beating):
    client = redis.client()
    client.zadd(heartbeat.index_key(), {"green@h/1": redis.now() - 3600})
    Pacemaker(beating)._beat(client, 20.0)
    (worker,) = heartbeat.workers()
    assert worker.silent < 5
    assert (worker.held, worker.queues, worker.loop) == (["new"], ["default"], 20.0)
    assert worker.stuck


def test_nothing_is_left_of_a_worker_that_has_said_good_bye(beating):
    beating.stopped.set()
    Pacemaker(beating)._beat(redis.client(), 20.0)
    assert heartbeat.workers() == []


def test_a_thread_of_the_system_runs_beside_the_others():
    ran = threading.Event()
    green.start_thread(lambda: (green.sleep(0.01), ran.set()))
    assert ran.wait(10)
    assert green.library() == ""  # nothing is replaced in this process


def test_frames_of_waiting_greenlets_are_found():
    import greenlet

    def waits_here():
        greenlet.getcurrent().parent.switch()

    waiting = greenlet.greenlet(waits_here)
    waiting.switch()
    began = time.thread_time()
    assert "waits_here" in {frame.f_code.co_name for _, frame in green.frames()}
    assert time.thread_time() - began < 10
    waiting.switch()

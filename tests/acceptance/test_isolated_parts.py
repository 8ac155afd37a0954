"""One part of a room in trouble never takes the others along: `manage.py up` with a part that keeps dying."""

import os
import signal
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import redis

from jobroom.testing import wait_until
from tests.acceptance.test_up import Up, with_tables

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def room(tmp_path_factory, django_db_setup):
    """One running `up` for the module."""
    up = Up(with_tables(tmp_path_factory.mktemp("room") / "var"))
    try:
        yield up.ready()
    finally:
        up.process.send_signal(signal.SIGTERM)
        try:
            up.process.wait(60)
        finally:
            for pid in up.members():
                os.kill(pid, signal.SIGKILL)


def named(room, *words):
    """Return the processes of the room with all these words in their command line."""
    lines = {pid: Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0") for pid in room.members()}
    return [pid for pid, line in lines.items() if all(word in line for word in words)]


def readiness(room):
    try:
        return room.get("/readyz")[1]
    except urllib.error.HTTPError as error:
        import json

        return json.loads(error.read())


def client(room):
    return redis.Redis.from_url((room.var / "run" / "redis-url").read_text().strip())


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
def test_killing_beat_six_times_a_minute_harms_no_other(room):
    others = {
        name: named(room, *words)
        for name, words in {"web": ["uvicorn"], "worker": ["worker"], "recorder": ["record"]}.items()
    }
    killed = 0
    end = time.monotonic() + 60
    while killed < 6 and time.monotonic() < end:
        for pid in named(room, "beat"):
            os.kill(pid, signal.SIGKILL)
            killed += 1
        time.sleep(0.2)
    assert killed >= 6
    wait_until(lambda: not readiness(room)["parts"]["parts"]["ok"], 20)
    assert "beat does not stay up" in readiness(room)["parts"]["parts"]["detail"]
    assert room.process.poll() is None
    for name, words in {"web": ["uvicorn"], "worker": ["worker"], "recorder": ["record"]}.items():
        assert set(others[name]) <= set(named(room, *words)), name
    assert "everything else goes on" in room.log


def test_a_redis_without_memory_is_named_and_stops_nothing(room):
    """Parts wait for a minute that a full Redis lasts; pages stay up and say what to do."""
    server = client(room)
    server.config_set("maxmemory", "1mb")
    try:
        said = wait_until(
            lambda: (found := readiness(room)["parts"]["redis"]) and not found["ok"] and found["detail"], 30
        )
        assert "maxmemory" in said
        end = time.monotonic() + 20
        while time.monotonic() < end:
            assert room.get("/healthz")[0] == 200
            assert room.process.poll() is None, room.log[-3000:]
            time.sleep(1)
    finally:
        server.config_set("maxmemory", "0")
    wait_until(lambda: readiness(room)["parts"]["redis"]["ok"], 30)
    wait_until(lambda: readiness(room)["parts"]["workers"]["ok"], 90)
    wait_until(lambda: readiness(room)["parts"]["recorder"]["ok"], 90)

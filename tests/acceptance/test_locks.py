"""Locks between real processes: races, sudden deaths, long work, a Redis that is restarted."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from jobroom import redis
from jobroom.locks import ExclusiveLock, holder, holders
from jobroom.runner.redis_server import PrivateServer
from jobroom.testing import wait_until
from jobroom.testing.processes import environment

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(360)]

# Long enough for a keeper that a busy machine lets stand still for ten seconds.
TTL = 15.0


class Program:
    """A process of tests/acceptance/lock_programs.py: takes orders, answers in JSON."""

    def __init__(self, *arguments, **env):
        argv = [sys.executable, "-m", "tests.acceptance.lock_programs", *map(str, arguments)]
        self.process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(env), start_new_session=True
        )

    def hear(self):
        line = self.process.stdout.readline()
        assert line, f"ended with {self.process.wait(10)}"
        return json.loads(line)

    def order(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def ask(self, text):
        self.order(text)
        return self.hear()

    def end(self):
        self.process.stdin.close()
        self.process.stdout.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


@contextmanager
def program(*arguments, **env):
    running = Program(*arguments, **env)
    try:
        yield running
    finally:
        running.end()


def exists(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.long
def test_processes_that_race_never_overlap(tmp_path, all_cases):
    processes, rounds, turns = (50, 200, 4) if all_cases else (16, 100, 4)
    with program("race", "race", tmp_path, processes, rounds, turns) as racers:
        assert racers.hear() == {"failed": 0}
    fencing = [int(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert len(fencing) == rounds + processes * turns, "one winner a round, then every process its turns"
    assert fencing == sorted(set(fencing))
    assert holder("race") is None


def test_the_lock_of_a_killed_process_is_free_at_once():
    with program("hold", "killed", 30) as first:
        facts = first.hear()
        first.process.kill()
        wait_until(lambda: holder("killed") is None, 60, "its keeper gives the lock back")
        wait_until(lambda: not exists(facts["keeper"]), 60, "the keeper ends")
    with program("hold", "killed", 30) as second:
        assert second.hear()["fencing"] > facts["fencing"]
        assert second.ask("release") == {"released": True}


def test_the_lock_of_a_machine_that_died_is_free_within_one_ttl():
    with program("hold", "machine", TTL) as first:
        facts = first.hear()
        os.kill(facts["keeper"], signal.SIGKILL)
        first.process.kill()
        died = time.monotonic()
        successor = ExclusiveLock("machine", ttl=TTL)
        assert successor.acquire(wait=TTL + 30)
        waited = time.monotonic() - died
        assert successor.fencing > facts["fencing"]
        assert successor.release()
    assert waited < 2 * TTL, "one time to live, and some seconds for a busy machine"


def test_signals_to_the_group_do_not_end_the_keeper():
    with program("hold", "signals", 30) as first:
        facts = first.hear()
        os.kill(facts["keeper"], signal.SIGTERM)
        os.kill(facts["keeper"], signal.SIGINT)
        redis.client().delete(redis.key("lock", "signals"))
        wait_until(lambda: holder("signals"), what="the keeper is still there")
        assert os.getpgid(facts["keeper"]) != os.getpgid(first.process.pid)
        assert first.ask("release") == {"released": True}


def test_a_process_keeps_its_lock_while_it_computes_in_c_for_longer_than_its_ttl():
    with program("hold", "compute", TTL) as first:
        facts = first.hear()
        first.order(f"compute {TTL + 3}")
        rival = ExclusiveLock("compute")
        assert not rival.acquire(wait=TTL + 1)
        computed = first.hear()["computed"]
        assert first.ask("check") == {"held": facts["fencing"]}
        assert first.ask("release") == {"released": True}
    assert computed > TTL + 2, "in one C call"


def test_a_process_keeps_its_lock_while_it_sleeps_for_longer_than_its_ttl():
    with program("hold", "sleep", TTL) as first:
        facts = first.hear()
        assert not ExclusiveLock("sleep").acquire(wait=TTL + 1)
        assert first.ask("check") == {"held": facts["fencing"]}


def test_a_suspended_process_keeps_its_lock():
    with program("hold", "suspended", TTL) as first:
        first.hear()
        first.process.send_signal(signal.SIGSTOP)
        assert not ExclusiveLock("suspended").acquire(wait=TTL + 1)
        first.process.send_signal(signal.SIGCONT)
        assert first.ask("release") == {"released": True}


# A Redis that is restarted -------------------------------------------------------------------------------------------


class Restartable:
    """A Redis of the test's own, with its data on disk."""

    def __init__(self, folder):
        self.folder = folder
        self.server = PrivateServer(folder)
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            self.server.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        self.server.wait(self.process)

    def kill(self, forget=False):
        self.process.kill()
        self.process.wait()
        if forget:
            for path in sorted(self.folder.rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()


@pytest.fixture
def own_redis(tmp_path, settings):
    server = Restartable(tmp_path / "redis")
    settings.JOBROOM = settings.JOBROOM | {"REDIS_URL": server.server.url}
    yield server
    server.kill()


def test_a_redis_that_is_killed_and_started_again_keeps_the_lock(own_redis):
    with program("hold", "restart", 20) as first:
        facts = first.hear()
        own_redis.kill()
        own_redis.start()
        assert holder("restart").fencing == facts["fencing"]
        assert not ExclusiveLock("restart").acquire()
        assert first.ask("check") == {"held": facts["fencing"]}
        seen = [holder("restart").expires_in]

        def is_renewed():
            seen.append(holder("restart").expires_in)
            return seen[-1] > seen[-2]

        wait_until(is_renewed, 60, "it is renewed")
        assert first.ask("release") == {"released": True}


def test_a_redis_that_comes_back_empty_gets_the_lock_back(own_redis):
    with program("hold", "emptied", 20) as first:
        facts = first.hear()
        own_redis.kill(forget=True)
        own_redis.start()
        back = wait_until(lambda: holder("emptied"), what="the keeper puts it back")
        assert back.fencing == facts["fencing"]
        assert [found.name for found in holders()] == ["emptied"]
        assert first.ask("check") == {"held": facts["fencing"]}
        assert first.ask("release") == {"released": True}
        with ExclusiveLock("emptied") as successor:
            assert successor.fencing > facts["fencing"]


def test_a_redis_that_was_away_for_longer_than_the_ttl_gets_the_lock_back(own_redis):
    with program("hold", "away", TTL) as first:
        facts = first.hear()
        own_redis.kill()
        gone = time.monotonic() + TTL  # it was renewed before
        wait_until(lambda: time.monotonic() > gone, what="its time to live is over")
        own_redis.start()
        assert wait_until(lambda: holder("away"), what="the keeper puts it back").fencing == facts["fencing"]
        assert first.ask("check") == {"held": facts["fencing"]}


def test_a_holder_whose_lock_was_taken_meanwhile_learns_of_it(own_redis):
    with program("hold", "taken", 20) as first:
        facts = first.hear()
        os.kill(facts["keeper"], signal.SIGSTOP)  # so that the other comes first
        own_redis.kill(forget=True)
        own_redis.start()
        with ExclusiveLock("taken", job="the other") as other:
            os.kill(facts["keeper"], signal.SIGCONT)
            assert "passed to job the other" in first.ask("check")["lost"]
            assert first.ask("release") == {"released": False}
            assert other.held
            assert other.fencing > facts["fencing"]

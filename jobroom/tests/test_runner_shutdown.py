"""Processes are stopped in order, gently first."""

import os
import signal
import subprocess
import sys
import time

import pytest

from jobroom.runner.reaper import left_behind
from jobroom.runner.shutdown import Stopper, StopPlan, exists
from jobroom.testing import wait_until

GENTLE = "import time; print('up', flush=True); time.sleep(60)"
# A shell lets what it starts in the background ignore SIGQUIT, and that is inherited.
DEAF = (
    "import signal, time; signal.signal(signal.SIGQUIT, signal.SIG_DFL); "
    "signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
)
STUBBORN = DEAF.replace("print", "signal.signal(signal.SIGQUIT, signal.SIG_IGN); print")


@pytest.fixture
def said():
    """The first line of every process that the test started."""
    return []


@pytest.fixture
def start(said):
    """Start Python code in a session of its own; it has printed a line when this returns."""
    children = []

    def run(code: str) -> "subprocess.Popen[bytes]":
        child = subprocess.Popen([sys.executable, "-S", "-c", code], stdout=subprocess.PIPE, start_new_session=True)
        children.append(child)
        assert child.stdout is not None
        said.append(child.stdout.readline())
        return child

    yield run
    for child in children:
        child.kill()
        child.communicate()


def finish(stopper):
    wait_until(stopper.step, 60)


def test_a_gentle_process_gets_one_signal(start):
    child = start(GENTLE)
    finish(Stopper({child.pid: StopPlan(0, 10)}))
    assert child.wait() == -signal.SIGTERM


def test_a_process_that_does_not_listen_is_killed_after_its_grace(start):
    child, numbers = start(DEAF), []
    finish(Stopper({child.pid: StopPlan(0, 0.1)}, say=lambda pid, number: numbers.append(number)))
    assert child.wait() == -signal.SIGKILL
    assert numbers == [signal.SIGKILL]


def test_a_busy_worker_is_asked_to_hand_back_before_it_is_killed(start):
    child, stubborn = start(DEAF), start(STUBBORN)
    finish(Stopper({child.pid: StopPlan(0, 0.1, 10), stubborn.pid: StopPlan(0, 0.1, 0.1)}))
    assert child.wait() == -signal.SIGQUIT
    assert stubborn.wait() == -signal.SIGKILL


def test_a_later_stage_is_untouched_while_an_earlier_one_runs(start):
    worker, redis = start(DEAF), start(GENTLE)
    stopper = Stopper({redis.pid: StopPlan(2, 10), worker.pid: StopPlan(0, 60)})
    for _ in range(3):
        assert not stopper.step()
    assert redis.poll() is None
    worker.kill()
    finish(stopper)
    assert redis.wait() == -signal.SIGTERM


def test_hurry_shortens_the_grace(start):
    child = start(DEAF)
    stopper = Stopper({child.pid: StopPlan(0, 3600)})
    assert not stopper.step()
    stopper.hurry()
    finish(stopper)
    assert child.wait() == -signal.SIGKILL


def test_the_leftovers_of_a_session_go_with_their_leader(start, said):
    parent = start(
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(60)'])\n"
        "print(child.pid, flush=True); time.sleep(60)"
    )
    left = int(said[0])
    assert exists(left)
    finish(Stopper({parent.pid: StopPlan(0, 10)}))
    parent.wait()
    wait_until(lambda: not exists(left), 60)


def test_a_zombie_does_not_count_as_running():
    child = subprocess.Popen(["true"])
    wait_until(lambda: not exists(child.pid), 60)
    child.wait()
    assert exists(os.getpid())


def test_nothing_to_stop_takes_no_time(monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail(f"slept for {seconds} s"))
    assert Stopper({}).step()


def test_the_reaper_knows_what_is_left():
    lines = ["+ 10 2 20 0", "+ 11 0 10 8.5", "+ 12 0 8 0", "- 12"]
    assert left_behind(lines) == {10: StopPlan(2, 20), 11: StopPlan(0, 10, 8.5)}
    assert left_behind([*lines, "bye"]) == {}

"""The supervisor with real, small processes: restarts, order, and nothing left behind anyone who is killed."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jobroom.runner.shutdown import exists
from jobroom.testing import wait_until

PROJECT = Path(__file__).resolve().parents[2]
SCRIPT = """
import sys
from pathlib import Path
from jobroom.runner.console import Console
from jobroom.runner.part import Part
from jobroom.runner.shutdown import StopPlan
from jobroom.runner.supervisor import Supervisor

folder = Path.cwd()
lock = open(sys.argv[1] + "/lock", "w")
with Supervisor(Console(sys.stdout, colour=False), folder=folder, lock=lock.fileno(), remove=Path(sys.argv[1], "url")) as it:
    Path(sys.argv[1], "url").touch()
    for number, code in enumerate(sys.argv[2:]):
        argv = [sys.executable, "-S", "-u", "-c", "import os, sys, time; print('pid', os.getpid()); " + code]
        it.start(Part(f"part{number}", argv, StopPlan(number, 5), folder))
    print("reaper", it.reaper.process.pid, flush=True)
    sys.exit(it.run(lambda: None))
"""
SLEEP = "time.sleep(60)"
pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(240)]


class Supervised:
    """A supervisor process with its parts, and what it printed."""

    def __init__(self, folder, *codes):
        self.folder = folder
        self.log = folder / "log"
        self.log.touch()
        argv = [sys.executable, "-c", SCRIPT, str(folder), *codes]
        with self.log.open("w") as out:
            self.process = subprocess.Popen(argv, stdout=out, stderr=out, cwd=PROJECT, start_new_session=True)

    def words(self, start):
        """Return the last words of the lines that begin so."""
        return [line.split()[-1] for line in self.log.read_text().splitlines() if line.startswith(start)]

    def pids(self, part):
        return [int(word) for word in self.words(f"part{part}    | pid")]

    def everyone(self):
        return [int(word) for start in ("part", "reaper") for word in self.words(start) if word.isdigit()]

    def is_gone(self):
        return not any(exists(pid) for pid in self.everyone())

    def wait_for(self, part, starts=1):
        return wait_until(lambda: self.pids(part)[starts - 1 :], 30, self.log.read_text())[0]


@pytest.fixture
def supervised(tmp_path):
    started = []

    def start(*codes):
        started.append(Supervised(tmp_path, *codes))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
            each.process.wait()
        wait_until(each.is_gone, 60, f"nothing is left\n{each.log.read_text()}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_everything_in_order(supervised, number):
    it = supervised(SLEEP, SLEEP)
    it.wait_for(0), it.wait_for(1)
    it.process.send_signal(number)
    assert it.process.wait(30) == 0
    assert it.is_gone()
    assert it.log.read_text().splitlines()[-2:] == ["system   | stopping ...", "system   | all stopped"]


def test_a_killed_part_is_started_again(supervised):
    it = supervised(SLEEP)
    os.kill(it.wait_for(0), signal.SIGKILL)
    assert it.wait_for(0, starts=2)
    assert "part0 was killed by signal 9" in it.log.read_text()
    assert "starting part0 again" in it.log.read_text()


def test_a_part_that_does_not_stay_up_harms_no_other(supervised):
    it = supervised(SLEEP, "sys.exit('no such thing')")
    healthy = it.wait_for(0)
    wait_until(lambda: it.log.read_text().count("part1    | no such thing") >= 4, 60)
    lines = it.log.read_text()
    assert "part1 does not stay up" in lines
    assert "everything else goes on" in lines
    pauses = [float(pause) for pause in re.findall(r"part1 .*starts again in ([\d.]+) s", lines)]
    assert pauses[:3] == [0.5, 1, 2], "the pauses grow"
    assert exists(healthy)
    assert it.pids(0) == [healthy], "it was not started again"


def test_when_no_part_stays_up_there_is_nothing_to_keep(supervised):
    it = supervised("sys.exit('no such thing')", "sys.exit('nor this')")
    assert it.process.wait(30) == 1
    assert "no part stays up" in it.log.read_text()
    assert it.is_gone()


def test_a_part_killed_many_times_harms_no_other(supervised):
    it = supervised(SLEEP, SLEEP)
    healthy = it.wait_for(0)
    for number in range(1, 6):
        os.kill(it.wait_for(1, starts=number), signal.SIGKILL)
    it.wait_for(1, starts=6)
    assert exists(healthy)
    assert it.process.poll() is None


def test_nothing_outlives_a_killed_supervisor(supervised):
    it = supervised(SLEEP, SLEEP)
    it.wait_for(0), it.wait_for(1)
    wait_until(lambda: it.words("reaper"), 60)
    os.killpg(it.process.pid, signal.SIGKILL)
    it.process.wait()
    wait_until(it.is_gone, 60)
    assert not (it.folder / "url").exists()


def test_a_killed_reaper_is_replaced_by_one_that_knows_all(supervised):
    it = supervised(SLEEP)
    part = it.wait_for(0)
    [reaper] = wait_until(lambda: it.words("reaper"), 60)
    os.kill(int(reaper), signal.SIGKILL)
    wait_until(lambda: "another stands by" in it.log.read_text(), 60)
    it.process.kill()
    it.process.wait()
    wait_until(lambda: not exists(part), 60)


def test_impatience_goes_on_to_the_next_signal(supervised):
    it = supervised("import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', 0); " + SLEEP)
    wait_until(lambda: it.words("part0    | deaf"), 60)
    it.process.send_signal(signal.SIGTERM)
    wait_until(lambda: "stopping" in it.log.read_text(), 60)
    it.process.send_signal(signal.SIGINT)
    assert it.process.wait(4) == 0, "the part had five seconds of its own"
    assert "part0 did not stop: killing it" in it.log.read_text()

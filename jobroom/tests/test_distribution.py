"""Which tests stay together when several processes share them out: in a real run of pytest-xdist."""

import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from django.conf import settings

from jobroom.testing import distribution

TOGETHER = """
import os, pytest
pytestmark = pytest.mark.acceptance

@pytest.fixture(scope="module")
def worker():
    return os.getpid()

@pytest.mark.parametrize("n", range(6))
def test_shared(worker, n, note):
    note("shared")
"""
SINGLY = """
import pytest
pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]

@pytest.mark.parametrize("n", range(6))
def test_single(n, note):
    note("single")
"""
SERIAL = """
import pytest

@pytest.mark.serial
@pytest.mark.parametrize("n", range(3))
def test_serial(n, note):
    note("serial")

@pytest.mark.parametrize("n", range(3))
def test_plain(n, note):
    note(__name__)
"""
CONFTEST = """
import json, os, pytest, time

@pytest.fixture
def note(request):
    def write(kind):
        with open(os.environ["NOTES"], "a") as out:
            out.write(json.dumps([kind, request.node.nodeid, os.getpid(), time.monotonic()]) + "\\n")
        if kind == "single":
            # Both processes get some: the first waits here until the other has started too.
            end = time.monotonic() + 20
            while len({json.loads(line)[2] for line in open(os.environ["NOTES"])}) < 2 and time.monotonic() < end:
                time.sleep(0.01)
    return write
"""
WAITING = """
import pathlib, pytest, time
pytestmark = pytest.mark.acceptance

@pytest.mark.parametrize("n", range(8))
def test_waits(n):
    end = time.monotonic() + 30
    while len(list(pathlib.Path().glob("test_*_plain"))) < 2:
        assert time.monotonic() < end, "no plain test has run"
        time.sleep(0.05)
"""
pytestmark = pytest.mark.timeout(240)  # the set-up is a whole run, maybe beside busy neighbours
# Nothing that is installed beside: to load all of it takes longer than these tests, in each process of a run.
OPTIONS = ["-p", "xdist", "-p", "jobroom.testing.distribution"]
ALONE = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


@pytest.fixture(scope="module")
def notes(tmp_path_factory):
    """Run four small files on two processes; return for each kind of test who ran it, in the order of time."""
    folder = tmp_path_factory.mktemp("distribution")
    marks = "".join(
        f"  {name}: x\n" for name in ("acceptance", "browser", "postgresql", "rabbitmq", "serial", "timeout")
    )
    (folder / "pytest.ini").write_text(f"[pytest]\nmarkers =\n{marks}")
    (folder / "conftest.py").write_text(CONFTEST)
    files = {"test_a_serial": SERIAL, "test_b_serial": SERIAL, "test_c_together": TOGETHER, "test_d_singly": SINGLY}
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    path = folder / "notes"
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    argv = [sys.executable, "-m", "pytest", "-n", "2", "--dist", "loadscope"]
    done = subprocess.run(
        [*argv, *OPTIONS, str(folder)],
        cwd=Path(settings.BASE_DIR),
        env={**env, **ALONE, "NOTES": str(path), "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed in" in done.stdout.splitlines()[-1], done.stdout
    assert list(folder.glob("image-groups-*")) == []
    found = defaultdict(list)
    for kind, nodeid, pid, _ in sorted(map(json.loads, path.read_text().splitlines()), key=lambda row: row[3]):
        found[kind].append((nodeid, pid))
        found["all"].append((kind, pid))
    return found


@pytest.mark.acceptance
def test_a_file_that_shares_a_worker_stays_in_one_process(notes):
    assert len(notes["shared"]) == 6
    assert len({pid for _, pid in notes["shared"]}) == 1


@pytest.mark.acceptance
def test_a_file_without_anything_to_share_is_split(notes):
    assert len(notes["single"]) == 6
    assert len({pid for _, pid in notes["single"]}) == 2


@pytest.mark.acceptance
def test_serial_tests_of_all_files_are_in_one_process(notes):
    assert len(notes["serial"]) == 6
    assert len({pid for _, pid in notes["serial"]}) == 1


@pytest.mark.acceptance
def test_what_takes_longest_begins_first(notes):
    kinds = [kind for kind, _ in notes["all"]]
    assert kinds[0] == "single"
    # Two processes take the next two groups at the same moment, and either may write first.
    assert kinds.index("shared") < len(kinds) - kinds[::-1].index("serial")


def test_some_processes_begin_with_what_waits_for_nothing():
    assert distribution.plain_first({"up": True, "locks": True, "forms": False, "pages": False}) == "forms"
    assert distribution.plain_first({"up": True, "locks": True}) == "up"


@pytest.mark.acceptance
def test_plain_tests_run_beside_those_that_wait(tmp_path):
    """Four processes: while three hold on to their tests, all plain ones are run by the fourth."""
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n  acceptance: x\n")
    (tmp_path / "test_a_waits.py").write_text(WAITING)
    for name in ("test_b_plain", "test_c_plain"):
        (tmp_path / f"{name}.py").write_text("from pathlib import Path\ndef test_it():\n    Path(__name__).touch()\n")
    argv = [sys.executable, "-m", "pytest", "-n", "4", "--dist", "loadscope"]
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [*argv, *OPTIONS, "."],
        cwd=tmp_path,
        env={**env, **ALONE, "PYTHONPATH": str(settings.BASE_DIR)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def report(when, duration, outcome="passed"):
    return {"data": {"when": when, "duration": duration, "outcome": outcome}}


@pytest.fixture
def reported():
    """Return what two processes said: one that is brief, and one whose run names each test that begins."""
    found = {}
    for begins in (False, True):
        said = found[begins] = []
        brief = distribution.Brief(lambda name, said=said, **words: said.append((name, words)), begins=begins)
        brief("logstart", nodeid="a")
        brief("testreport", **report("setup", 0.01))
        brief("testreport", **report("call", 1.0))
        brief("testreport", **report("teardown", 0.02))
        brief("logfinish", nodeid="a")
        brief("testreport", **report("setup", 5.0))
        brief("testreport", **report("call", 0.5, "failed"))
        brief("testreport", **report("teardown", 0.01, "failed"))
    return found


def test_what_passed_at_once_is_not_reported_and_its_seconds_are(reported):
    reports = [words["data"] for name, words in reported[False] if name == "testreport"]
    assert [(one["when"], one["outcome"]) for one in reports] == [
        ("call", "passed"), ("setup", "passed"), ("call", "failed"), ("teardown", "failed"),
    ]  # fmt: skip
    assert [round(one["duration"], 3) for one in reports] == [1.01, 5.02, 0.5, 0.01]


def test_the_begin_of_a_test_is_reported_where_it_is_shown(reported):
    assert [[name for name, _ in said if name != "testreport"] for said in reported.values()] == [
        ["logfinish"], ["logstart", "logfinish"],
    ]  # fmt: skip

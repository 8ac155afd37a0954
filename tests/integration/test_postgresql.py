"""What the database decides, decided by PostgreSQL: tests of the apps once more, and the whole room.

By default the tests with the mark `sql` run there; `--postgresql=all` takes all that speak to the database.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

pytestmark = [pytest.mark.postgresql, pytest.mark.xdist_group("postgresql"), pytest.mark.timeout(1800)]

# Of these, the tests that speak to the database.
APPS = (
    "jobroom/jobs/tests",
    "jobroom/schedules/tests",
    "jobroom/notifications/tests",
    "biosample/tests",
    "jobroom/workflows/tests",
)
# With processes.
ROOM = (
    "tests/integration/room_on_postgresql.py",
    "tests/acceptance/test_once.py::test_a_locked_table_sends_nothing_again",
)
TAIL = 80


def marked() -> list[str]:
    """Return the files in which the mark `sql` stands: each process that shares out the tests imports no others."""
    found = [path for app in APPS for path in sorted(Path(settings.BASE_DIR, app).rglob("test_*.py"))]
    return [str(path) for path in found if "pytest.mark.sql" in path.read_text()]


def run_pytest(url: str, *arguments: str) -> str:
    """Run pytest with its database there; return what it said, or fail with the last lines."""
    # The outer run may be a worker of pytest-xdist or a machine's; the inner one is neither.
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_") and name != "CI"}
    done = subprocess.run(
        # The first test of a process makes the database, which takes long beside busy neighbours.
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout=300", *arguments],
        cwd=settings.BASE_DIR,
        env={**env, "TEST_DATABASE_URL": url},
        capture_output=True,
        text=True,
        timeout=1780,  # beside other tests it has a tenth of a processor
    )
    lines = (done.stdout + done.stderr).splitlines()
    assert done.returncode == 0, "\n".join([line for line in lines if not line.startswith("PASSED ")][-TAIL:])
    return "\n".join(lines)


@pytest.fixture(scope="module")
def passed(postgresql_url, pytestconfig):
    """Return what a run there said of each test: one run for all, which makes a database for each of its two processes."""
    everything = pytestconfig.getoption("--postgresql") == "all"
    return run_pytest(
        postgresql_url,
        "-rfEp",
        *("-n", "2"),
        *("-p", "tests.integration.database_only"),
        *("-m", "sql or not (acceptance or browser)" if everything else "sql"),
        *(APPS if everything else marked()),
        *ROOM,
    )


def test_the_tests_of_the_apps_pass(passed, pytestconfig):
    everything = pytestconfig.getoption("--postgresql") == "all"
    count = sum(passed.count(f"PASSED {app}") for app in APPS)
    assert count > (700 if everything else 100), "hardly any test speaks to the database"


def test_the_room_keeps_its_database_there(passed):
    assert "PASSED tests/integration/room_on_postgresql.py::test_twenty_jobs_survive_their_worker" in passed


def test_a_locked_table_sends_nothing_again(passed):
    """The history stands still behind a lock, as SQLite has none; what it does not know yet is not sent again."""
    assert "PASSED tests/acceptance/test_once.py::test_a_locked_table_sends_nothing_again" in passed

"""What the database decides, decided by PostgreSQL: tests of the apps once more, and the whole room.

By default the tests with the mark `sql` run there; `--postgresql=all` takes all that speak to the database.
"""

import os
import re
import subprocess
import sys

import pytest
from django.conf import settings

pytestmark = [pytest.mark.postgresql, pytest.mark.xdist_group("postgresql"), pytest.mark.timeout(600)]

# Of these, the tests that speak to the database.
APPS = (
    "jobroom/jobs/tests",
    "jobroom/schedules/tests",
    "jobroom/notifications/tests",
    "biosample/tests",
    "jobroom/workflows/tests",
)
TAIL = 80


def run_pytest(url: str, *arguments: str) -> str:
    """Run pytest with its database there; return its closing line, or fail with the last lines."""
    # The outer run may be a worker of pytest-xdist or a machine's; the inner one is neither.
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_") and name != "CI"}
    done = subprocess.run(
        # The first test of a process makes the database, which takes long beside busy neighbours.
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout=300", *arguments],
        cwd=settings.BASE_DIR,
        env={**env, "TEST_DATABASE_URL": url},
        capture_output=True,
        text=True,
        timeout=580,
    )
    lines = (done.stdout + done.stderr).splitlines()
    assert done.returncode == 0, "\n".join(lines[-TAIL:])
    return next(line for line in reversed(lines) if " passed" in line)


def test_the_tests_of_the_apps_pass(postgresql_url, pytestconfig):
    everything = pytestconfig.getoption("--postgresql") == "all"
    closing = run_pytest(
        postgresql_url,
        "-n",
        "2",
        "-p",
        "tests.integration.database_only",
        "-m",
        "not acceptance and not browser" + ("" if everything else " and sql"),
        *APPS,
    )
    passed = re.search(r"(\d+) passed", closing)
    assert passed
    assert int(passed[1]) > (700 if everything else 100), "hardly any test speaks to the database"


def test_the_room_keeps_its_database_there(postgresql_url):
    assert "1 passed" in run_pytest(postgresql_url, "tests/integration/room_on_postgresql.py")


def test_a_locked_table_sends_nothing_again(postgresql_url):
    """The history stands still behind a lock, as SQLite has none; what it does not know yet is not sent again."""
    closing = run_pytest(postgresql_url, "tests/acceptance/test_once.py", "-k", "locked_table")
    assert "1 passed" in closing

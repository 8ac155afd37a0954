"""`manage.py test`: every test that this machine can run."""

import os
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from django.core.management import BaseCommand, CommandError

ROOT = Path(__file__).resolve().parents[3]
# Many tests wait for processes that they started, so there are more of us than processors. Each has a Redis, a data
# folder and a database of its own; `jobroom.testing.distribution` says which tests stay together.
WIDER = 3
SLOWEST = ["--durations=20", "--durations-min=1"]
# Options after which one process is wanted, or none: someone looks at a single test, or only asks.
ALONE = {"--pdb", "--trace", "-s", "--capture=no", "--collect-only", "--co", "--fixtures", "--markers", "--help", "-h"}
WIDTH = ("-n", "--numprocesses", "--dist", "--tx")
# Where whole files mostly wait.
WAITING = ("tests/acceptance/", "tests/browser/", "tests/integration/")
MOST = 16
# Folders in which every test starts processes: `--fast` need not import them, in each process, to leave them out.
SLOW = ("tests/acceptance", "tests/browser", "tests/torture")
FAST = "not acceptance and not browser and not postgresql and not rabbitmq"


class Command(BaseCommand):
    """Hand over to pytest; it ends by naming the tiers that were skipped."""

    help = (
        "Run the tests, on several processors. Arguments are pytest's; besides, --fast leaves out all that start "
        "processes, and --postgresql=all runs every test that speaks to the database on PostgreSQL too."
    )
    requires_system_checks: list[str] = []

    def run_from_argv(self, argv: list[str]) -> None:
        """Replace this process by pytest in the project's folder; Django parses none of the arguments."""
        if find_spec("pytest") is None:
            self.stderr.write(
                f"The test requirements are missing: {sys.executable} -m pip install -r requirements-dev.txt"
            )
            sys.exit(1)
        os.chdir(ROOT)
        if missing := missing_files(argv[2:]):
            # Several processes of pytest-xdist say nothing of it, and end as if all were well but empty.
            self.stderr.write(f"There is no {' and no '.join(missing)}: no test was run.")
            sys.exit(4)  # pytest's own status for a wrong argument
        os.execve(sys.executable, command(argv[2:]), environment())  # noqa: S606 — no shell wanted

    def handle(self, *args: object, **options: object) -> None:
        """Refuse to be called from code: the process would be gone."""
        raise CommandError("Call pytest itself.")


def missing_files(arguments: list[str]) -> list[str]:
    """Return the files with tests among the arguments that do not exist."""
    files = [word.partition("::")[0] for word in arguments if not word.startswith("-")]
    return [name for name in files if name.endswith(".py") and not Path(name).exists()]


def environment() -> dict[str, str]:
    """Return the environment of pytest, in which compiled modules are kept.

    Images of containers often forbid that. Each of the hundreds of processes of a run would compile all modules again,
    and each that collects would rewrite all tests again: ten seconds of a processor.
    """
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def command(arguments: list[str]) -> list[str]:
    """Return the command line of pytest: as wide as is sensible unless the arguments say how wide."""
    given = fast(arguments)
    slowest = [] if any(word.startswith("--durations") for word in given) else SLOWEST
    # Tests without processes wait too, a quarter of their time; each process more collects all tests once more.
    most = max(2, processors() * 3 // 2) if "--fast" in arguments else processes()
    return [sys.executable, "-m", "pytest", *parallel(given, most), *slowest, *given]


def fast(arguments: list[str]) -> list[str]:
    """Return the arguments with `--fast` put into pytest's words, together with a choice of marks that is there."""
    if "--fast" not in arguments:
        return arguments
    rest = [word for word in arguments if word != "--fast"]
    marks = FAST
    if "-m" in rest[:-1]:
        at = rest.index("-m")
        marks = f"({rest[at + 1]}) and {FAST}"
        del rest[at : at + 2]
    # Who names files wants to know all about them.
    share = [] if any(Path(word.partition("::")[0]).exists() for word in rest) else ["--share"]
    return ["-m", marks, *(f"--ignore={folder}" for folder in SLOW), *share, *rest]


def parallel(arguments: list[str], most: int) -> list[str]:
    """Return the options that share the tests out to `most` processes; none where the arguments speak of that."""
    if ALONE.intersection(arguments) or any(word.startswith(WIDTH) for word in arguments):
        return []
    if "no:xdist" in arguments or "-pno:xdist" in arguments:
        return []
    width = min(most, wanted(arguments))
    return ["-n", str(width), "--dist", "loadscope"] if width > 1 else []


def processes() -> int:
    """Return how many processes share the tests of a whole run."""
    return max(2, min(int(processors() * WIDER), MOST))


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def wanted(arguments: Iterable[str]) -> int:
    """Return how many processes the named tests can keep busy: without any, or for a folder, all there are."""
    named = [word for word in arguments if not word.startswith("-") and Path(word.partition("::")[0]).exists()]
    return sum(map(_wanted_by, named)) or MOST


def _wanted_by(name: str) -> int:
    """Return one for a test or a file; a file with processes has tests that wait beside each other."""
    if "::" not in name and not name.endswith(".py"):
        return MOST
    return 2 if "::" not in name and name.startswith(WAITING) else 1

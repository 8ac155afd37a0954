"""`manage.py test`: every test that this machine can run."""

import os
import sys
from importlib.util import find_spec

from django.conf import settings
from django.core.management import BaseCommand, CommandError

# Files with real processes take longest, so tests are handed out singly; each xdist worker has a Redis, a data folder
# and a database of its own.
PARALLEL = ["-n", "auto", "--maxprocesses", "4", "--dist", "loadgroup"]


class Command(BaseCommand):
    """Hand over to pytest; it ends by naming the tiers that were skipped."""

    help = "Run the tests. Arguments are pytest's; without any, all tests run, on several processors."
    requires_system_checks: list[str] = []

    def run_from_argv(self, argv: list[str]) -> None:
        """Replace this process by pytest in the project's folder; Django parses none of the arguments."""
        if find_spec("pytest") is None:
            self.stderr.write(
                f"The test requirements are missing: {sys.executable} -m pip install -r requirements-dev.txt"
            )
            sys.exit(1)
        os.chdir(settings.BASE_DIR)
        os.execv(sys.executable, command(argv[2:]))  # noqa: S606 — no shell wanted

    def handle(self, *args: object, **options: object) -> None:
        """Refuse to be called from code: the process would be gone."""
        raise CommandError("Call pytest itself.")


def command(arguments: list[str]) -> list[str]:
    """Return the command line of pytest."""
    return [sys.executable, "-m", "pytest", *(arguments or PARALLEL)]

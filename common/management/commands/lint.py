"""`manage.py lint`: everything about the code that a machine can judge without running it."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import BaseCommand, CommandParser

from common import lua_lint, module_list
from jobroom.runner import settings_reference


def run(argv: list[str]) -> tuple[bool, str]:
    """Run a program in the project's folder; return whether it passed, and what it printed."""
    done = subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=settings.BASE_DIR,
        # The children use this interpreter as it is.
        env={**os.environ, "IMAGE_NO_VENV": "1"},
        text=True,
        check=False,
    )
    return done.returncode == 0, done.stdout.rstrip()


def programs() -> dict[str, list[str]]:
    """Return the checks that are programs; the slowest comes first, because all are started together."""
    python = sys.executable
    tools = Path(python).parent
    checks = {
        "types": [str(tools / "mypy"), "."],
        "import contracts": [str(tools / "lint-imports"), "--no-logo"],
        "format": [str(tools / "ruff"), "format", "--check", "."],
        "lint": [str(tools / "ruff"), "check", "."],
        "migrations": [python, "manage.py", "makemigrations", "--check", "--dry-run"],
        "system checks": [python, "manage.py", "check", "--fail-level", "WARNING"],
    }
    templates = [str(path) for path in template_folders(settings.BASE_DIR)]
    if templates:
        checks["templates"] = [str(tools / "djlint"), "--lint", "--quiet", *templates]
    return checks


def template_folders(folder: Path) -> list[Path]:
    """Return the project's folders that hold templates."""
    found = [folder / "templates", *sorted(folder.glob("*/templates")), *sorted(folder.glob("jobroom/*/templates"))]
    return [path for path in found if any(path.rglob("*.html"))]


class Command(BaseCommand):
    """Run all checks, whatever one of them says, and fail when any failed."""

    help = "Check format, lint, types, import contracts, migrations, templates, Lua scripts and the settings reference."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare `--write`."""
        parser.add_argument("--write", action="store_true", help="first write the list of modules into its page")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print one line a check, and the output of those that failed."""
        if options["write"]:
            module_list.write(settings.BASE_DIR)
        checks = programs()
        absent = [argv[0] for argv in checks.values() if not Path(argv[0]).exists()]
        if absent:
            self.stderr.write(f"{absent[0]} is missing: {sys.executable} -m pip install -r requirements-dev.txt")
            sys.exit(1)
        with ThreadPoolExecutor() as pool:  # the threads only wait for processes
            results = dict(zip(checks, pool.map(run, checks.values()), strict=True))
        reference = settings_reference.problems(settings.BASE_DIR)
        results["settings reference"] = (not reference, "\n".join(reference))
        modules = module_list.problems(settings.BASE_DIR)
        results["module list"] = (not modules, "\n".join(modules))
        lua = lua_lint.problems(settings.BASE_DIR / "jobroom")
        results["Lua scripts"] = (not lua, "\n".join(lua))
        for name, (passed, text) in results.items():
            self._print(name, text, passed=passed)
        failed = [name for name, (passed, _) in results.items() if not passed]
        if failed:
            self.stdout.write(f"{len(failed)} of {len(results)} checks failed: {', '.join(failed)}.")
            sys.exit(1)
        self.stdout.write(f"All {len(results)} checks passed.")

    def _print(self, name: str, text: str, *, passed: bool) -> None:
        self.stdout.write(f"{'ok    ' if passed else 'FAILED'} {name}")
        if not passed:
            self.stdout.write("\n".join(f"       {line}" for line in text.splitlines()))

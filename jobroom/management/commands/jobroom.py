"""`manage.py jobroom …`: all commands of Jobroom under one name, so that none hides a command of the project."""

import sys
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from django.core.management import BaseCommand

from jobroom.runner.command_line import guarded

# The packages whose modules are commands, by their names.
PACKAGES = (
    "jobroom",
    "jobroom.jobs",
    "jobroom.workflows",
    "jobroom.workers",
    "jobroom.queues",
    "jobroom.schedules",
    "jobroom.notifications",
)


def commands() -> dict[str, str]:
    """Return the names of all commands, each with the module that holds it."""
    found: dict[str, str] = {}
    for package in PACKAGES:
        try:
            folder = import_module(f"{package}.commands")
        except ModuleNotFoundError:
            continue
        found |= {one.name: f"{package}.commands.{one.name}" for one in iter_modules(folder.__path__)}
    return dict(sorted(found.items()))


def load(name: str) -> BaseCommand:
    """Return the command of that name."""
    command: BaseCommand = import_module(commands()[name]).Command()
    return command


class Command(BaseCommand):
    """Hand over to the command that is named first."""

    help = "Run a command of Jobroom: manage.py jobroom <command> …"
    requires_system_checks: list[str] = []

    def run_from_argv(self, argv: list[str]) -> None:
        """Let the named command read the rest of the line; without one, say which there are."""
        # The manage.py of another project shows whatever is raised as a traceback.
        if code := guarded(lambda: self._hand_over(argv), argv):
            sys.exit(code)

    def _hand_over(self, argv: list[str]) -> None:
        name = argv[2] if len(argv) > 2 else ""
        if name not in commands():
            asked_for_help = name in {"", "help", "-h", "--help"}
            (self.stdout if asked_for_help else self.stderr).write(self._overview(name, asked_for_help=asked_for_help))
            sys.exit(0 if asked_for_help else 2)
        load(name).run_from_argv([f"{argv[0]} {argv[1]}", *argv[2:]])

    def handle(self, *args: Any, **options: Any) -> None:
        """Say which commands there are: from code, call them through `load`."""
        self.stdout.write(self._overview("", asked_for_help=True))

    @staticmethod
    def _overview(name: str, *, asked_for_help: bool) -> str:
        lines = [] if asked_for_help else [f"There is no command {name!r}."]
        lines += ["Commands:", *(f"  {one:<16} {load(one).help}" for one in commands())]
        return "\n".join(lines)

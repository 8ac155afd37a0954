"""`manage.py check_waiting`: before a deploy, what waits and would fail with the new code."""

import dataclasses
import sys
from typing import Any

from django.core.management import BaseCommand, CommandParser

from jobroom.jobs import terminal
from jobroom.queues import compatibility


class Command(BaseCommand):
    """Hold what waits against the code."""

    help = (
        "Say which waiting jobs, schedules, presets, definitions and workflows do not fit the tasks. Exit code 1: some."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the form of the output, and what is left out."""
        parser.add_argument("--json", action="store_true")
        parser.add_argument(
            "--ignore",
            action="append",
            default=[],
            metavar="TASKS",
            help="tasks of other programs, such as 'billing.*'",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Write a line for each trouble."""
        found = compatibility.check_waiting(options["ignore"])
        if options["json"]:
            terminal.write_json(dataclasses.asdict(found))
        else:
            for misfit in found.misfits:
                self.stdout.write(self.style.ERROR(misfit.sentence))
            looked = ", ".join(f"{count:,} {kind}s" for kind, count in found.looked_at.items())
            self.stdout.write(f"Looked at {looked}: {'all fit' if not found.misfits else 'not all fit'}.")
        if found.misfits:
            sys.exit(1)

"""`manage.py doctor`: everything that is wrong with this installation, why, and what to do next."""

import dataclasses
import sys
from typing import Any

from django.core.management import BaseCommand, CommandParser

from jobroom.jobs import terminal
from jobroom.workers import doctor


class Command(BaseCommand):
    """Run every check."""

    help = "Say what is wrong with this installation, why, and what to do. Exit code 1: something is an error."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the form of the output, and what counts."""
        parser.add_argument("--json", action="store_true")
        parser.add_argument("--strict", action="store_true", help="exit code 1 for warnings too")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write what was found, the worst first."""
        found = doctor.examine()
        if options["json"]:
            terminal.write_json([dataclasses.asdict(finding) for finding in found])
        else:
            for finding in found:
                self._write(finding)
        counted = {"error", "unknown", "warning"} if options["strict"] else {"error", "unknown"}
        if any(finding.state in counted for finding in found):
            sys.exit(1)

    def _write(self, finding: doctor.Finding) -> None:
        line = f"{finding.state:<8} {finding.check}: {finding.detail}"
        style = {"error": self.style.ERROR, "warning": self.style.WARNING}.get(finding.state)
        self.stdout.write(style(line) if style else line)
        if finding.action:
            self.stdout.write(f"         {finding.action}")

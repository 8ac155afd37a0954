"""`manage.py health`: how Jobroom is doing, as its pages and `/readyz` say it."""

import dataclasses
import sys
from typing import Any

from django.core.management import BaseCommand, CommandParser

from jobroom.jobs import terminal
from jobroom.workers import health


class Command(BaseCommand):
    """Say what is wrong, since when, and what to do next."""

    help = "Say how each part is doing. Exit code 0: all ready; 1: something is missing (as /readyz's 503)."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the form of the output."""
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write a line for each part, or JSON."""
        found = health.current()
        if options["json"]:
            terminal.write_json(_data(found))
        else:
            self._write(found)
        if not found.ready:
            sys.exit(1)

    def _write(self, found: health.Health) -> None:
        for name, part in found.parts.items():
            mark = "ok" if not part.troubled else "warning" if part.ok else "missing"
            self.stdout.write(f"{mark:<8} {name:<11} {part.detail} {part.rows}".rstrip())
        for trouble in found.troubles:
            self.stdout.write(self.style.WARNING(str(trouble)))


def _data(found: health.Health) -> dict[str, Any]:
    troubles = [{**dataclasses.asdict(trouble), "since": trouble.since.isoformat()} for trouble in found.troubles]
    parts = {name: dataclasses.asdict(part) for name, part in found.parts.items()}
    return {"ready": found.ready, "parts": parts, "troubles": troubles}

"""`manage.py tasks`: what can be launched."""

from typing import Any

from celery import current_app
from django.core.management import BaseCommand, CommandParser

from jobroom.arguments import schema_of
from jobroom.jobs import catalogue, terminal


class Command(BaseCommand):
    """List the tasks with their arguments."""

    help = "List the tasks that can be launched, with their arguments."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare what is listed and how."""
        parser.add_argument("word", nargs="?", default="", help="only tasks whose name contains this")
        parser.add_argument("--json", action="store_true", help="as JSON, with the schema of the arguments")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write one task a line, or JSON."""
        found = [entry for entry in catalogue.entries() if options["word"].lower() in entry.name.lower()]
        schemas = {entry.name: schema_of(current_app.tasks[entry.name]) for entry in found}
        if options["json"]:
            terminal.write_json([
                {
                    "name": entry.name,
                    "summary": entry.summary,
                    "queue": entry.queue,
                    "may_rerun": entry.may_rerun,
                    "arguments": schemas[entry.name].json_schema(),
                }
                for entry in found
            ])  # fmt: skip
            return
        for entry in found:
            names = [p.name if p.required else f"[{p.name}]" for p in schemas[entry.name].parameters]
            self.stdout.write(f"{entry.name}  {' '.join(names)}".rstrip())
            self.stdout.write(f"    {entry.summary}")

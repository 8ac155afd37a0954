"""`manage.py deadletters`: the messages that no worker could run."""

from typing import Any

from django.core.management import BaseCommand, CommandParser

from jobroom.jobs import terminal
from jobroom.workers.models import DeadLetter


class Command(BaseCommand):
    """List the newest dead letters."""

    help = "List the messages that no worker could run, newest first, each with its reason."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare how many, and the form of the output."""
        parser.add_argument("--limit", type=int, default=20, help="at most so many (default: 20)")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write a line for each dead letter, or JSON."""
        dead_letters = DeadLetter.objects.all()[: max(0, options["limit"])]
        if options["json"]:
            names = ("id", "at", "job_id", "task", "queue", "worker", "kind", "reason", "head", "size")
            terminal.write_json([{name: getattr(dead_letter, name) for name in names} for dead_letter in dead_letters])
            return
        for dead_letter in dead_letters:
            self.stdout.write(
                f"{dead_letter.at:%Y-%m-%d %H:%M:%S}  {dead_letter.queue}  {dead_letter.task or '?'}  {dead_letter.job_id or '-'}"
            )
            self.stdout.write(f"  {dead_letter.kind}: {dead_letter.reason}")
        if not dead_letters:
            self.stdout.write("No dead letters.")

"""`manage.py pause queue NAME --reason …`: no worker starts its jobs until it is resumed."""

from typing import Any

from django.core.management import BaseCommand, CommandParser

from jobroom.celery.pauses import KINDS
from jobroom.queues import pauses, terminal


class Command(BaseCommand):
    """Pause a queue or a task."""

    help = "Pause a queue or a task: workers start none of its jobs until it is resumed, also over restarts."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare what is paused and why."""
        parser.add_argument("kind", choices=KINDS)
        parser.add_argument("name")
        parser.add_argument("--reason", required=True, help="why; the pages of the jobs that wait show it")
        terminal.add_who(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Pause; exit with 1 when that cannot be done."""
        with terminal.sentences():
            by = terminal.actor(options["user"])
            self.stdout.write(pauses.pause(options["kind"], options["name"], by=by, reason=options["reason"]))

"""`manage.py resume queue NAME`: workers go on with it."""

from typing import Any

from django.core.management import BaseCommand, CommandParser

from jobroom.celery.pauses import KINDS
from jobroom.queues import pauses, terminal


class Command(BaseCommand):
    """Resume a queue or a task."""

    help = "Let workers go on with a queue or a task that is paused."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare what is resumed."""
        parser.add_argument("kind", choices=KINDS)
        parser.add_argument("name")
        parser.add_argument("--reason", default="", help="why; kept in the audit")
        terminal.add_who(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Resume; exit with 1 when it is not paused."""
        with terminal.sentences():
            by = terminal.actor(options["user"])
            self.stdout.write(pauses.resume(options["kind"], options["name"], by=by, reason=options["reason"]))

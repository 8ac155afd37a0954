"""`manage.py show ID`: one job."""

from typing import Any

from django.core.management import BaseCommand, CommandParser

from jobroom.jobs import terminal


class Command(BaseCommand):
    """Show one job as it is now."""

    help = "Show one job as it is now."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the job."""
        parser.add_argument("id", help="id of the job, or its beginning")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write what is known of the job."""
        job = terminal.job_called(options["id"])
        if options["json"]:
            terminal.write_json(terminal.described(job))
        else:
            self.stdout.write("\n".join(terminal.lines_of(job)))

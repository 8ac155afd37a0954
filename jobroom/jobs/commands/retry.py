"""`manage.py retry ID`."""

from typing import Any

from django.core.management import BaseCommand, CommandParser

from jobroom.arguments import WrongArguments
from jobroom.jobs import control, terminal
from jobroom.jobs.exceptions import JobError
from jobroom.limits import TooMany


class Command(BaseCommand):
    """Run a finished job again."""

    help = "Run a finished job again under the same id, as a new attempt."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the job and who asks."""
        parser.add_argument("id", help="id of the job, or its beginning")
        parser.add_argument("--as", dest="user", metavar="USER", help="ask as this person, with their rights")

    def handle(self, *args: Any, **options: Any) -> None:
        """Retry; exit with 1 when that cannot be done now."""
        by = terminal.person(options["user"])
        job = terminal.job_called(options["id"], by)
        try:
            control.retry(job=job, by=by)
        except (JobError, WrongArguments, TooMany) as error:
            terminal.refuse(str(error), 1)
        self.stdout.write(f"Job {job.pk} is sent again, as a new attempt.")

"""`manage.py cancel ID`."""

import getpass
from typing import Any

from django.core.management import BaseCommand, CommandParser

from jobroom.jobs import control, terminal
from jobroom.jobs.exceptions import NotAllowed, NotNow


class Command(BaseCommand):
    """Ask for the end of a job."""

    help = "Ask for the end of a job; says what happens now."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the job and who asks."""
        parser.add_argument("id", help="id of the job, or its beginning")
        parser.add_argument("--as", dest="user", metavar="USER", help="ask as this person, with their rights")

    def handle(self, *args: Any, **options: Any) -> None:
        """Cancel; exit with 1 when that cannot be done now."""
        by = terminal.person(options["user"])
        job = terminal.job_called(options["id"], by)
        try:
            self.stdout.write(control.cancel(job=job, by=by, name=f"{getpass.getuser()} (command line)"))
        except (NotAllowed, NotNow) as error:
            terminal.refuse(str(error), 1)

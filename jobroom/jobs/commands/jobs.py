"""`manage.py jobs`: the newest jobs."""

from typing import Any

from django.core.management import BaseCommand, CommandParser
from django.utils import timezone

from jobroom.control_characters import escaped
from jobroom.jobs import lateness, terminal
from jobroom.jobs.models import Job, State
from jobroom.jobs.topics import state_of

MOST = 100_000


class Command(BaseCommand):
    """List jobs, newest first."""

    help = "List jobs, newest first."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare which jobs and how many."""
        parser.add_argument("--state", choices=State.values)
        parser.add_argument("--task", help="name of a task")
        parser.add_argument(
            "--late", choices=lateness.CHOICES, help="late or about to be, longer than usual, silent, any"
        )
        parser.add_argument("--limit", type=int, default=20, help="at most so many (default: 20)")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write one job a line, or JSON."""
        if not 1 <= options["limit"] <= MOST:
            terminal.refuse(f"--limit: give a number from 1 to {MOST}.")
        asked = {name: options[name] for name in ("state", "task") if options[name]}
        if options["late"]:
            asked["pk__in"] = lateness.ids(options["late"])
        rows = Job.objects.without_bulk().filter(**asked).newest_first()[: options["limit"]]
        if options["json"]:
            terminal.write_json([{"id": job.pk, "task": job.task, "label": job.label, **state_of(job)} for job in rows])
            return
        for job in rows:
            at = timezone.localtime(job.created_at).strftime("%Y-%m-%d %H:%M:%S")
            self.stdout.write(escaped(f"{job.pk}  {at}  {job.state:<9}  {job.task} {job.label}".rstrip()))

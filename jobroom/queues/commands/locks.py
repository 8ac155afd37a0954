"""`manage.py locks`: who holds which lock; and breaking one."""

from typing import Any

from django.core.management import BaseCommand, CommandParser

from jobroom.jobs import terminal as jobs_terminal
from jobroom.queues import held_locks, limits, terminal
from jobroom.queues.serializers import LimitData, LockData


class Command(BaseCommand):
    """List the locks that are held, or break one."""

    help = "List the locks that are held, with their holders and who waits; or break one."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the lock to break, and why."""
        parser.add_argument("--break", dest="name", default="", metavar="LOCK", help="take this lock from its holder")
        parser.add_argument("--limits", action="store_true", help="list limits of tasks and fair queues instead")
        parser.add_argument("--free", nargs=2, metavar=("LIMIT", "JOB"), help="take the place of a job in a limit away")
        parser.add_argument(
            "--next", dest="job", metavar="JOB", help="let a job that waits for a limit or turn be the next"
        )
        parser.add_argument("--reason", default="", help="why; kept in the audit and on the job")
        parser.add_argument("--json", action="store_true")
        terminal.add_who(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """List, or break; exit with 1 when that cannot be done."""
        with terminal.sentences():
            if options["name"]:
                by = terminal.actor(options["user"])
                self.stdout.write(held_locks.break_lock(options["name"], by=by, reason=options["reason"]))
                return
            if options["free"]:
                by = terminal.actor(options["user"])
                self.stdout.write(limits.free(*options["free"], by=by, reason=options["reason"]))
                return
            if options["job"]:
                by = terminal.actor(options["user"])
                self.stdout.write(limits.let_be_next(options["job"], by=by, reason=options["reason"]))
                return
            terminal.check_may_see(options["user"])
            if options["limits"]:
                self._limits(limits.limits(), as_json=options["json"])
                return
            rows = held_locks.held()
        if options["json"]:
            jobs_terminal.write_json(LockData(rows, many=True).data)
            return
        for row in rows:
            who = f"job {row.job}" if row.job else f"{row.task or 'a process'} on {row.host}"
            self.stdout.write(f"{row.name:<40}  {who}  since {row.since:%Y-%m-%d %H:%M:%S}  {row.number} waiting")
        if not rows:
            self.stdout.write("No lock is held.")

    def _limits(self, rows: list[limits.LimitRow], *, as_json: bool) -> None:
        if as_json:
            jobs_terminal.write_json(LimitData(rows, many=True).data)
            return
        for row in rows:
            places = f"{row.number} of {row.most} places" if row.most else f"at most {row.rate}"
            self.stdout.write(f"{row.name:<40}  {places}  {row.waiting} waiting")
            for holder in row.holders:
                self.stdout.write(f"  job {holder.job}  since {holder.since:%Y-%m-%d %H:%M:%S}")
        if not rows:
            self.stdout.write("No job has a place in a limit, and none waits for one.")

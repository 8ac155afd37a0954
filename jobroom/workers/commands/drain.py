"""`manage.py drain --timeout 600`: workers take no more jobs, and the command ends when they run none."""

import getpass
from typing import Any

from django.core.management import BaseCommand, CommandParser

from jobroom import redis
from jobroom.jobs import terminal
from jobroom.workers import drain, remote_control


class Command(BaseCommand):
    """Empty the workers for a deploy."""

    help = (
        "Let workers take no more jobs and wait until they run none: before a deploy. Exit code 1 when some still do."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare which workers, and how long."""
        parser.add_argument("workers", nargs="*", help="names of workers (default: all)")
        parser.add_argument("--timeout", type=float, default=600.0, help="seconds to wait (default: 600)")
        parser.add_argument("--undo", action="store_true", help="let them take jobs again")
        parser.add_argument("--as", dest="user", metavar="USER", help="act as this person, with their rights")

    def handle(self, *args: Any, **options: Any) -> None:
        """Drain; exit with 1 when a worker is not empty in time, with its jobs named."""
        by = terminal.person(options["user"])
        if by is not None and not remote_control.may_operate(by):
            terminal.refuse(remote_control.NEEDS, 1)
        who = by.get_username() if by is not None else f"{getpass.getuser()} (command line)"
        try:
            self._do(options, who)
        except (redis.Error, OSError):
            terminal.refuse("Redis does not answer, so no one knows what the workers do.", 1)

    def _do(self, options: dict[str, Any], who: str) -> None:
        names = options["workers"]
        missing = set(names) - {worker.name for worker in drain.living()}
        if missing:
            terminal.refuse(f"There is no living worker called {', '.join(sorted(missing))}.", 1)
        if options["undo"]:
            self.stdout.write(f"{drain.undo(names, by=who)} workers take jobs again.")
            return
        busy = drain.drain(names, timeout=max(0.0, options["timeout"]), by=who, notify=self.stdout.write)
        if not busy:
            self.stdout.write("All of them are empty. Workers that are started from now on take jobs.")
            return
        jobs = [f"{row['task']} ({row['job']}) on {worker.name}" for worker in busy for row in worker.running]
        terminal.refuse(
            f"Not empty after {options['timeout']:g} s: {', '.join(jobs) or 'workers that do not answer'}. They stay quiet; "
            "`manage.py jobroom drain --undo` lets them take jobs again.",
            1,
        )

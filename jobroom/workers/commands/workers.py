"""`manage.py workers`: who works, for which queues, and with which resources; and what their page does with one."""

import getpass
from typing import Any

from django.core.management import BaseCommand, CommandParser

from jobroom import redis
from jobroom.jobs import terminal
from jobroom.workers import acts, remote_control
from jobroom.workers.exceptions import WorkerError
from jobroom.workers.overview import ResourceRow, WorkerRow, overview
from jobroom.workers.serializers import WorkerData

_UNITS = ((1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "kB"))


class Command(BaseCommand):
    """List the workers, or give one a command."""

    help = "List the workers, their queues, and the resources that they hold; or give one a command."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare what is done with which worker, and the form of the output."""
        parser.add_argument("worker", nargs="?", help="its name, such as default@host (default: list all)")
        parser.add_argument(
            "action", nargs="?", choices=list(acts.WORDS), help="what it is to do, or what is done about it"
        )
        parser.add_argument(
            "argument", nargs="?", default="", help="processes, a queue, or the worker that takes the queues over"
        )
        parser.add_argument("--reason", default="", help="why, for the audit")
        parser.add_argument("--as", dest="user", metavar="USER", help="act as this person, with their rights")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write a line for each worker and each resource, or JSON, or what happened; exit code 1 when Redis does not answer."""
        if options["worker"]:
            self._act(options)
        else:
            self._list(options)

    def _list(self, options: dict[str, Any]) -> None:
        try:
            found = overview()
        except (redis.Error, OSError):
            terminal.refuse("Redis does not answer, so the workers cannot be shown.", 1)
        if options["json"]:
            terminal.write_json(WorkerData(found.workers, many=True).data)
            return
        for worker in found.workers:
            self.stdout.write(_line(worker))
            if worker.predecessor:
                self.stdout.write(f"  {worker.predecessor}")
            for resource in worker.resources:
                self.stdout.write(f"  {_resource_line(resource)}")
        for problem in found.problems:
            self.stdout.write(self.style.WARNING(problem))
        if not found.workers:
            self.stdout.write("No worker has been seen. `manage.py jobroom up` starts everything.")

    def _act(self, options: dict[str, Any]) -> None:
        """Do something with one worker; exit with 1 when it cannot be done."""
        by = terminal.person(options["user"])
        if by is not None and not remote_control.may_operate(by):
            terminal.refuse(remote_control.NEEDS, 1)
        if not options["action"]:
            terminal.refuse(f"Say what is to be done with {options['worker']}: {', '.join(acts.WORDS)}.", 2)
        who = by.get_username() if by is not None else f"{getpass.getuser()} (command line)"
        try:
            said = acts.act(options["worker"], options["action"], options["argument"], by=who, reason=options["reason"])
        except WorkerError as error:
            terminal.refuse(str(error), 1)
        except (redis.Error, OSError):
            terminal.refuse("Redis does not answer, so nothing was done. Try again in a moment.", 1)
        self.stdout.write(said)


def _line(worker: WorkerRow) -> str:
    queues = ", ".join(f"{queue} (waits)" if names else queue for queue, names in worker.served)
    holds = f"holds {len(worker.held)}" if worker.held else "idle"
    pool = f"{worker.pool} x {worker.concurrency}"
    return f"{worker.name:<24}  {worker.state:<8}  {pool:<13}  {holds:<9}  {queues}"


def _resource_line(resource: ResourceRow) -> str:
    parts = [f"{resource.name:<22}", f"{resource.state:<8}"]
    if resource.versions:
        parts.append(f"version {', '.join(resource.versions)}")
    if resource.size:
        parts.append(_size(resource.size))
    if resource.seconds:
        parts.append(f"loaded in {resource.seconds:.1f} s")
    if resource.error:
        parts.append(resource.error)
    return "  ".join(parts)


def _size(size: int) -> str:
    unit, name = next(((unit, name) for unit, name in _UNITS if size >= unit), (1, "B"))
    return f"{size / unit:.0f} {name}"

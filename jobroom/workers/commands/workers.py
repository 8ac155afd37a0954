"""`manage.py workers`: who works, for which queues, and with which resources."""

from typing import Any

from django.core.management import BaseCommand, CommandParser

from jobroom import redis
from jobroom.jobs import terminal
from jobroom.workers.overview import ResourceRow, WorkerRow, overview
from jobroom.workers.serializers import WorkerData

_UNITS = ((1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "kB"))


class Command(BaseCommand):
    """List the workers."""

    help = "List the workers, their queues, and the resources that they hold."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the form of the output."""
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write a line for each worker and each resource, or JSON; exit code 1 when Redis does not answer."""
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

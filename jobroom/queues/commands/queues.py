"""`manage.py queues`: what waits where, who takes it; and purging or moving it."""

from typing import Any

from django.core.management import BaseCommand, CommandParser

from jobroom.jobs import terminal as jobs_terminal
from jobroom.queues import operations, queue_rows, terminal
from jobroom.queues.serializers import QueueData


class Command(BaseCommand):
    """List the queues, or purge or move the messages of one."""

    help = "List the queues; with purge or move, remove or move the messages that wait in one."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the action and what it needs."""
        parser.add_argument("action", nargs="?", choices=["list", "purge", "move"], default="list")
        parser.add_argument("queue", nargs="?", default="")
        parser.add_argument("target", nargs="?", default="", help="the queue that the messages move to")
        parser.add_argument("--reason", default="", help="why; kept in the audit and on the jobs")
        parser.add_argument("--yes", action="store_true", help="do it; without, only say how many there are")
        parser.add_argument("--json", action="store_true", help="the list as JSON")
        terminal.add_who(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """List, or act; exit with 1 when that cannot be done, 2 for wrong usage."""
        with terminal.sentences():
            if options["action"] == "list":
                terminal.check_may_see(options["user"])
                self._list(queue_rows.rows(), as_json=options["json"])
            else:
                self._act(options)

    def _list(self, rows: list[queue_rows.QueueRow], *, as_json: bool) -> None:
        if as_json:
            jobs_terminal.write_json(QueueData(rows, many=True).data)
            return
        for row in rows:
            depth = "?" if row.depth is None else f"{row.depth:,}"
            who = ", ".join(row.workers) or "-"
            line = f"{row.name:<24}  {row.state:<8}  {depth:>10}  {row.processes:>3} processes  {who}"
            self.stdout.write(self.style.ERROR(line) if row.is_bad else line)
            if row.held:
                self.stdout.write(f"  and {row.held_words}")
            if row.paused:
                self.stdout.write(f"  paused by {row.paused.by}: {row.paused.reason}")

    def _act(self, options: dict[str, Any]) -> None:
        action, queue, target = options["action"], options["queue"], options["target"]
        if not queue or (action == "move" and not target):
            jobs_terminal.refuse(f"Name the queue{' and the target' * (action == 'move')}.")
        by, counts = terminal.actor(options["user"]), operations.preview(queue)
        if not options["yes"]:
            self.stdout.write(f"{sum(counts):,} messages wait in the queue {queue}. Add --yes to {action} them.")
        elif action == "purge":
            self.stdout.write(operations.purge(queue, counts, by=by, reason=options["reason"]))
        else:
            self.stdout.write(operations.move(queue, target, counts, by=by, reason=options["reason"]))

"""`manage.py times`: how long jobs waited and ran."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from django.core.management import BaseCommand, CommandParser

from jobroom.control_characters import escaped
from jobroom.jobs import percentiles, terminal
from jobroom.jobs.number_formats import duration
from jobroom.jobs.percentiles import Both, Numbers, Spread


class Command(BaseCommand):
    """Show waits and durations of the jobs of a span."""

    help = "Show how long jobs waited and ran: what half of them and 95 of 100 did not exceed, by task and by queue."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the span and of which jobs."""
        parser.add_argument(
            "--span", choices=list(percentiles.SPANS), default=percentiles.USUAL, help="until now (default: 24h)"
        )
        parser.add_argument("--task", default="", metavar="NAME", help="jobs of this task alone")
        parser.add_argument("--queue", default="", metavar="NAME", help="jobs of this queue alone")
        parser.add_argument("--as", dest="user", metavar="USER", help="of the jobs that this person may see")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write a table of tasks and one of queues, or JSON as the API."""
        by = terminal.person(options["user"])
        found = percentiles.numbers(
            by, percentiles.SPANS[options["span"]], task=options["task"], queue=options["queue"]
        )
        if options["json"]:
            terminal.write_json(_described(found))
            return
        self.stdout.write(f"The last {found.span.words}: {found.whole.jobs}.")
        if not found.tasks:
            return
        for head, rows in (("Task", found.tasks), ("Queue", found.queues)):
            self.stdout.write("")
            for line in _table(head, [*rows, dataclasses.replace(found.whole, name="together")]):
                self.stdout.write(escaped(line))


def _table(head: str, rows: Sequence[Both]) -> list[str]:
    cells = [(head, "Started", "Wait p50", "p95", "Ended", "Duration p50", "p95")]
    cells += [(row.name or "(none)", *_cells(row.wait), *_cells(row.took)) for row in rows]
    wide = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join([row[0].ljust(wide[0]), *map(str.rjust, row[1:], wide[1:])]) for row in cells]


def _cells(spread: Spread) -> tuple[str, str, str]:
    return f"{spread.number:,}", duration(spread.p50), duration(spread.p95)


def _described(found: Numbers) -> dict[str, Any]:
    return {
        "span": found.span.name,
        "whole": {"begin": found.whole.begin, "end": found.whole.end, **_spreads(found.whole)},
        "steps": [{"begin": step.begin, "end": step.end, **_spreads(step)} for step in found.steps],
        **{kind: [{"name": row.name, **_spreads(row)} for row in getattr(found, kind)] for kind in ("tasks", "queues")},
    }


def _spreads(row: Both) -> dict[str, Any]:
    return {"wait": dataclasses.asdict(row.wait), "duration": dataclasses.asdict(row.took)}

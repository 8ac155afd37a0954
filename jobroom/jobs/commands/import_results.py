"""`manage.py jobroom import_results`: the rows of django-celery-results become jobs of the history."""

from collections import Counter
from typing import Any

from django.core.management import BaseCommand, CommandParser

from jobroom.jobs.conf import settings
from jobroom.jobs.imported_results import Imported, import_results


class Command(BaseCommand):
    """Make a job of each finished result that has none."""

    help = "Import the rows of django-celery-results into the history; those that are there already stay as they are."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare what is imported."""
        parser.add_argument(
            "--unfinished", action="store_true", help="also those without an end, as lost jobs: when nothing runs them"
        )
        parser.add_argument("--dry-run", action="store_true", help="only say what would be imported")

    def handle(self, *args: Any, **options: Any) -> None:
        """Import, and say how many."""
        report = import_results(
            unfinished=options["unfinished"],
            dry_run=options["dry_run"],
            notify=lambda seen: self.stderr.write(f"{seen:,} results seen") if options["verbosity"] > 1 else None,
        )
        for line in lines_of(report, dry_run=options["dry_run"]):
            self.stdout.write(line)


def lines_of(report: Imported, *, dry_run: bool) -> list[str]:
    """Return what the command says of an import."""
    verb = "To import" if dry_run else "Imported"
    by_state = f" ({_counts(report.states)})" if report.states else ""
    lines = [f"{verb}: {report.made:,} of {report.seen:,} results{by_state}."]
    if report.present:
        lines.append(f"In the history already: {report.present:,}.")
    if report.unfinished:
        lines.append(
            f"Left out, as they have no end yet: {report.unfinished.total():,} ({_counts(report.unfinished)}). Run this again "
            "when they have one, or with --unfinished when nothing runs them any more."
        )
    if report.nameless:
        lines.append(
            f"Without the name of their task: {report.nameless:,}. CELERY_RESULT_EXTENDED was off when they ran."
        )
    if report.as_text:
        lines.append(
            f"With arguments or a result that are no JSON: {report.as_text:,}. The notes of these jobs say which."
        )
    if report.old:
        lines.append(
            f"Older than JOBS_KEEP_DAYS ({settings.KEEP_DAYS:g}): {report.old:,}. The next clean-up of jobs deletes them; "
            "raise JOBS_KEEP_DAYS to keep them."
        )
    return lines


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in sorted(counter.items()))

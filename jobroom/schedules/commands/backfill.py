"""`manage.py backfill`: runs of a schedule for due times that have passed."""

from datetime import datetime
from typing import Any

from django.core.management import BaseCommand, CommandParser
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from jobroom.jobs import moments, terminal
from jobroom.schedules.api_backfills import described
from jobroom.schedules.models import Backfill, Which
from jobroom.schedules.services import backfills, closures
from jobroom.schedules.services.backfill_plan import Range, plan
from jobroom.schedules.terminal import add_part, schedule_called, sentences
from jobroom.users import User

SHOWN = 50


class Command(BaseCommand):
    """Say which runs a range of a schedule has, make them, and see how far that is."""

    help = "Make the runs of a schedule for a range of due times that have passed, with their count first."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the parts."""
        parts = parser.add_subparsers(dest="part", required=True)
        _ranged(add_part(parts, "plan", "say which runs would be made, and make none"))
        started = add_part(parts, "start", "make the runs; a scheduler sends them, so many at a time")
        _ranged(started)
        started.add_argument("--newest-first", action="store_true")
        started.add_argument("--expect", type=int, metavar="N", help="make none unless it is so many runs")
        add_part(parts, "list", "list the backfills of a schedule")
        for name, text in (("show", "show how far a backfill is"), ("pause", "let it send nothing until it is resumed"),
                           ("resume", "let it go on"), ("cancel", "let it send nothing more")):  # fmt: skip
            add_part(parts, name, text).add_argument("backfill", type=int, help="its number")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do the part; exit with 1 for what cannot be done, and with 2 for what makes no sense."""
        by = terminal.person(options["user"])
        row = schedule_called(options["name"], by)
        with sentences():
            said = _do(row, by, options)
        if options["json"]:
            terminal.write_json(said)
        else:
            self.stdout.write(_text(said))


def _do(row: PeriodicTask, by: User | None, options: dict[str, Any]) -> Any:
    part = options["part"]
    if part == "list":
        return [_data(one) for one in Backfill.objects.filter(row=row).order_by("-pk")[:SHOWN]]
    if part in ("plan", "start"):
        return _ranged_part(row, by, options)
    rows = Backfill.objects.select_related("row").filter(row=row, pk=options["backfill"])
    found = rows.first() or terminal.refuse(f"There is no backfill {options['backfill']} of “{row.name}”.")
    return _data(found) if part == "show" else backfills.ACTIONS[part](found, by=by)


def _ranged_part(row: PeriodicTask, by: User | None, options: dict[str, Any]) -> Any:
    asked = Range(_moment(row, options, "since"), _moment(row, options, "until"), options["which"])
    if options["part"] == "plan":
        backfills.check(row, by=by, at_once=options["at_once"])
        found = described(plan(row, asked), options["at_once"])
        return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in found.items()}
    chosen = {"at_once": options["at_once"], "newest_first": options["newest_first"], "seen": options["expect"]}
    made = backfills.start(row, asked, by=by, **chosen)
    return f"Backfill {made.pk}: {made.total} runs, {made.at_once} at a time."


def _moment(row: PeriodicTask, options: dict[str, Any], name: str) -> datetime:
    found = backfills.moment(options[name], closures.zone_of(row))
    return found or terminal.refuse(f"--{name}: {moments.no_time(options[name])}")


def _ranged(parser: Any) -> None:
    parser.add_argument("--since", required=True, metavar="TIME", help="first due time, by the schedule's clocks")
    parser.add_argument("--until", default=timezone.now().isoformat(), metavar="TIME", help="last due time; now")
    parser.add_argument("--which", choices=Which.values, default=Which.MISSING.value)
    parser.add_argument("--at-once", type=int, default=1, metavar="N", help="jobs at a time")


def _data(found: Backfill) -> dict[str, Any]:
    return {
        "id": found.pk,
        "state": str(found.state),
        "reason": found.reason,
        "since": found.since.isoformat(),
        "until": found.until.isoformat(),
        "by": found.by,
        "at_once": found.at_once,
        **backfills.progress(found),
    }


def _text(said: Any) -> str:
    if isinstance(said, str):
        return said
    if isinstance(said, dict):
        return "\n".join(
            f"{name}: {' '.join(value) if isinstance(value, list) else value}" for name, value in said.items()
        )
    lines = [
        f"{one['id']:>6}  {one['state']:<9}  {one['total']} runs, {one['waiting']} wait  {one['since']} to {one['until']}"
        for one in said
    ]
    return "\n".join(lines) or "There is no backfill."

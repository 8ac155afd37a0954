"""`manage.py calendars`: days on which schedules do not run, or run only."""

import sys
from pathlib import Path
from typing import Any

from django.core.management import BaseCommand, CommandParser

from jobroom.jobs import terminal
from jobroom.schedules import policies
from jobroom.schedules.models import Calendar
from jobroom.schedules.services import calendar_import, calendars
from jobroom.schedules.services.calendar_days import merged
from jobroom.schedules.terminal import add_part, sentences, visible
from jobroom.users import User


class Command(BaseCommand):
    """List calendars, show, set or delete one."""

    help = "List the calendars that schedules follow; show, set or delete one."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the parts."""
        parts = parser.add_subparsers(dest="part", required=True)
        add_part(parts, "list", "list the calendars, with the schedules that follow them", about="")
        add_part(parts, "show", "show the lines of a calendar", about="calendar")
        kept = add_part(parts, "set", "make a calendar, or change one", about="calendar")
        kept.add_argument("--description")
        kept.add_argument("--rename", metavar="NAME")
        kept.add_argument("--days", nargs="+", metavar="LINE", help="its lines, in place of what it has")
        kept.add_argument(
            "--file",
            metavar="FILE",
            help="its lines from a file, - is standard input; of an .ics file the events are added",
        )
        add_part(parts, "delete", "delete a calendar that no schedule follows", about="calendar")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do the part; exit with 1 for what cannot be done, and with 2 for what makes no sense."""
        by = terminal.person(options["user"])
        with sentences():
            said = self._list(by) if options["part"] == "list" else self._about(options, by)
        if options["json"]:
            terminal.write_json(said)
        else:
            self.stdout.write(_text(said))

    @staticmethod
    def _list(by: User | None) -> list[dict[str, Any]]:
        seen, users = set(visible(by).values_list("pk", flat=True)), calendars.users()
        return [
            {**_data(each), "schedules": [row.name for row in users.get(each.name, ()) if row.pk in seen]}
            for each in Calendar.objects.order_by("name")
        ]

    def _about(self, options: dict[str, Any], by: User | None) -> Any:
        found = Calendar.objects.filter(name=options["name"].replace("\x00", "")).first()
        if options["part"] != "show" and by is not None and not policies.may_change_calendars(by):
            terminal.refuse("Only staff may change calendars: schedules of many people follow them.", 1)
        if options["part"] == "set":
            return _set(found, options, by)
        if found is None:
            terminal.refuse(f"There is no calendar “{options['name']}”.")
        if options["part"] == "delete":
            calendars.delete(found, by=by)
            return f"“{found.name}” is deleted."
        return _data(found)


def _set(found: Calendar | None, options: dict[str, Any], by: User | None) -> str:
    given = {"description": options["description"], "name": options["rename"]}
    given = {name: value for name, value in given.items() if value is not None}
    if (lines := _lines(found, options)) is not None:
        given["days"] = lines
    if found is None:
        return f"“{calendars.add(by=by, given={'name': options['name'], **given}).name}” is made."
    said = calendars.change(found, by=by, given=given)
    return f"Changed: {', '.join(said)}." if said else "Nothing was changed."


def _lines(found: Calendar | None, options: dict[str, Any]) -> str | None:
    if options["days"]:
        return "\n".join(options["days"])
    if not options["file"]:
        return None
    try:
        text = sys.stdin.read() if options["file"] == "-" else Path(options["file"]).read_text("utf-8-sig", "replace")
    except OSError as error:
        terminal.refuse(f"--file: {options['file']} cannot be read: {error.strerror}.")
    if text.lstrip().upper().startswith("BEGIN:VCALENDAR"):
        return merged(found.days if found is not None else "", calendar_import.lines_of(text))
    return text


def _data(found: Calendar) -> dict[str, Any]:
    return {"name": found.name, "description": found.description, "days": found.days.splitlines()}


def _text(said: Any) -> str:
    if isinstance(said, str):
        return said
    if isinstance(said, dict):
        return "\n".join(said["days"]) or "It has no days."
    return "\n".join(_line(each) for each in said) or "There is no calendar."


def _line(each: dict[str, Any]) -> str:
    return f"{each['name']:<30}  {len(each['days']):>5} lines  {', '.join(each['schedules'][:5]) or 'no schedule follows it'}"

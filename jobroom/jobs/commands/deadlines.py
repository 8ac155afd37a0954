"""`manage.py deadlines`: what is expected of the jobs of a task or schedule."""

from typing import Any

from django.core.management import BaseCommand, CommandParser

from jobroom.arguments import WrongArguments
from jobroom.control_characters import escaped
from jobroom.jobs import deadline_rules, terminal
from jobroom.jobs.exceptions import NotAllowed, NotNow
from jobroom.jobs.models import Expectation, ExpectedOf
from jobroom.users import User


class Command(BaseCommand):
    """List, add or drop what is expected."""

    help = "Say by when jobs of a task or schedule should end, how long they run and how long they may be silent."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the parts."""
        parts = parser.add_subparsers(dest="part", required=True)
        _part(parts, "list", "list what is expected")
        added = _about(parts, "add", "expect something of a task or schedule")
        added.add_argument("--within", type=int, metavar="SECONDS", help="from its turn to its end")
        added.add_argument("--usual", type=int, metavar="SECONDS", help="it runs longer than usual after that")
        added.add_argument(
            "--silent", type=int, metavar="SECONDS", help="it is silent when it said nothing for so long"
        )
        _about(parts, "drop", "expect it no more")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do the part; exit with 1 for what cannot be done, and with 2 for what makes no sense."""
        by = terminal.person(options["user"])
        if options["part"] == "list":
            self._list(by, as_json=options["json"])
            return
        try:
            self.stdout.write(_add(by, options) if options["part"] == "add" else _drop(by, options))
        except (NotAllowed, NotNow) as error:
            terminal.refuse(str(error), 1)
        except WrongArguments as wrong:
            terminal.refuse(" ".join(f"{name}: {' '.join(texts)}" for name, texts in wrong.errors.items()))

    def _list(self, by: User | None, *, as_json: bool) -> None:
        rows = Expectation.objects.order_by("of", "name") if by is None or by.is_staff else Expectation.objects.none()
        if as_json:
            terminal.write_json([{"of": row.of, "name": row.name, **_times(row)} for row in rows])
            return
        for row in rows:
            self.stdout.write(escaped(f"{row}: {deadline_rules.said(row)}"))
        if not rows:
            self.stdout.write("Nothing is expected.")


def _part(parts: Any, name: str, text: str) -> CommandParser:
    parser: CommandParser = parts.add_parser(name, help=text, description=text)
    parser.add_argument("--as", dest="user", metavar="USER", help="act as this person, with their rights")
    parser.add_argument("--json", action="store_true")
    return parser


def _about(parts: Any, name: str, text: str) -> CommandParser:
    parser = _part(parts, name, text)
    parser.add_argument("of", choices=ExpectedOf.values)
    parser.add_argument("name", help="of the task or the schedule")
    return parser


def _times(row: Expectation) -> dict[str, Any]:
    return {name: getattr(row, name) for name in deadline_rules.TIMES}


def _add(by: User | None, options: dict[str, Any]) -> str:
    times = {name: options[name] for name in deadline_rules.TIMES}
    row = deadline_rules.add(of=options["of"], name=options["name"], times=times, by=by)
    return f"Expected of the {row}: {deadline_rules.said(row)}."


def _drop(by: User | None, options: dict[str, Any]) -> str:
    deadline_rules.check_right(by)
    row = Expectation.objects.filter(of=options["of"], name=options["name"]).first()
    if row is None:
        raise NotNow(f"Nothing is expected of the {options['of']} {options['name']}.")
    deadline_rules.drop(row=row, by=by)
    return f"Nothing more is expected of the {row}."

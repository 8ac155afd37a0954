"""`manage.py failures`: why jobs fail, one line for each cause; and what is done with a cause."""

from typing import Any

from django.core.management import BaseCommand, CommandParser

from jobroom.arguments import WrongArguments
from jobroom.jobs import failure_actions, failures, staged_retries, terminal
from jobroom.jobs.exceptions import NotAllowed, NotNow
from jobroom.jobs.failure_models import FailureGroup, FailureGroupQuerySet, GroupState
from jobroom.users import User

_COLUMNS = (
    *("id", "error_type", "sentence", "place", "state", "number", "first_seen", "last_seen", "last_job"),
    *("resolved_at", "came_back_at"),
)


class Command(BaseCommand):
    """List the causes of failures, or do something with one."""

    help = (
        "List the causes of failures, the last seen first; show, mute, resolve, reopen, assign one, or retry its jobs."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the parts, each but the list with the cause that it is about."""
        parts = parser.add_subparsers(dest="part", required=True)
        listed = _part(parts, "list", "list causes, the last seen first")
        listed.add_argument("--state", choices=[*GroupState.values, "all"], default="open", help="default: open")
        listed.add_argument("--limit", type=int, default=20, help="at most so many (default: 20)")
        _one(parts, "show", "show a cause with its last 14 days, tasks and workers")
        _act(parts, "mute", "list it only among the muted, and count on")
        _act(parts, "resolve", "it is done; it opens again when it is seen again")
        _act(parts, "reopen", "take either back")
        _act(parts, "retry", "retry its jobs in stages: one, ten, the rest; it stops when the cause comes back")
        _act(parts, "stop-retry", "send no further jobs of a retry in stages")
        assigned = _act(parts, "assign", "have a member of the staff look after it")
        assigned.add_argument("--to", dest="assignee", default="", metavar="USER", help="without it: no one")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do the part; exit with 1 for what cannot be done, and with 2 for what makes no sense."""
        by = terminal.person(options["user"])
        if options["part"] == "list":
            self._list(by, options)
            return
        group = _called(options["cause"], by)
        if options["part"] == "show":
            self._show(group, as_json=options["json"])
            return
        said = _acted(group, by, options)
        if options["json"]:
            terminal.write_json({"said": said, "failure": _described(group)})
            return
        self.stdout.write(said)

    def _list(self, by: User | None, options: dict[str, Any]) -> None:
        rows = _visible(by).newest_first()
        if options["state"] != "all":
            rows = rows.filter(state=options["state"])
        groups = rows[: max(0, options["limit"])]
        if options["json"]:
            terminal.write_json([_described(group) for group in groups])
            return
        for group in groups:
            self.stdout.write(f"{group.number:>7}  {group}")
            self.stdout.write(f"         cause {group.pk}, {_seen(group)}, last job {group.last_job}")
        if not groups:
            self.stdout.write("No cause of failures." if options["state"] == "all" else f"None is {options['state']}.")

    def _show(self, group: FailureGroup, *, as_json: bool) -> None:
        days = failures.trend([group])[group.pk]
        retry = staged_retries.latest(group.pk)
        tasks, workers = (dict(failures.shares(group, column)) for column in ("task", "worker"))
        if as_json:
            terminal.write_json({**_described(group), "trend": days, "tasks": tasks, "workers": workers,
                                 "retry": staged_retries.shown(retry)})  # fmt: skip
            return
        self.stdout.write(f"{group}")
        rows = {
            "state": _seen(group),
            "assigned": group.assigned_to.get_username() if group.assigned_to else "to no one",
            "place": group.place or "no frame of the project",
            "failures": str(group.number),
            "14 days": " ".join(map(str, days)),
            "tasks": _shares(tasks),
            "workers": _shares(workers),
            "last job": group.last_job,
            "retry": str(retry or "none"),
        }
        for name, text in rows.items():
            self.stdout.write(f"  {name:<9} {text}")


def _part(parts: Any, name: str, text: str) -> CommandParser:
    parser: CommandParser = parts.add_parser(name, help=text, description=text)
    parser.add_argument("--as", dest="user", metavar="USER", help="act as this person, with their rights")
    parser.add_argument("--json", action="store_true")
    return parser


def _one(parts: Any, name: str, text: str) -> CommandParser:
    parser = _part(parts, name, text)
    parser.add_argument("cause", help="its id, or the beginning of it")
    return parser


def _act(parts: Any, name: str, text: str) -> CommandParser:
    parser = _one(parts, name, text)
    parser.add_argument("--reason", default="", help="why; kept in the audit")
    return parser


def _acted(group: FailureGroup, by: User | None, options: dict[str, Any]) -> str:
    given = {"reason": options["reason"], "assignee": options.get("assignee", "")}
    try:
        return failure_actions.act(group=group, action=options["part"], by=by, **given)
    except (NotAllowed, NotNow) as error:
        return terminal.refuse(str(error), 1)
    except WrongArguments as wrong:
        return terminal.refuse(" ".join(text for texts in wrong.errors.values() for text in texts))


def _visible(by: User | None) -> FailureGroupQuerySet:
    return FailureGroup.objects.all() if by is None else FailureGroup.objects.visible_to(by)


def _called(cause: str, by: User | None) -> FailureGroup:
    """Return the cause with that id, or the only one whose id begins so; end the command where there is none."""
    rows = _visible(by).select_related("assigned_to").filter(pk__startswith=cause.replace("\x00", ""))
    found = list(rows[:2]) if len(cause) > 3 else []
    if len(found) == 1:
        return found[0]
    return terminal.refuse(f"There is no cause {cause}." if not found else f"More than one cause begins with {cause}.")


def _described(group: FailureGroup) -> dict[str, Any]:
    return {name: getattr(group, name) for name in _COLUMNS}


def _seen(group: FailureGroup) -> str:
    back = ", came back" if group.came_back_at else ""
    return f"{group.state}{back}, seen {group.first_seen:%Y-%m-%d %H:%M} to {group.last_seen:%Y-%m-%d %H:%M}"


def _shares(numbers: dict[str, int]) -> str:
    return ", ".join(f"{name} ({number})" for name, number in numbers.items()) or "none"

"""`manage.py schedules`: which schedules there are, what became of their runs, and what is done with them."""

import dataclasses
from collections.abc import Callable
from typing import Any

from django.core.management import BaseCommand, CommandParser
from django_celery_beat.models import PeriodicTask

from jobroom.arguments import WrongArguments
from jobroom.arguments.storable import parse
from jobroom.jobs import launches, moments, terminal
from jobroom.schedules import audit, services
from jobroom.schedules.exceptions import NotSent
from jobroom.schedules.filters import RELATED, bare
from jobroom.schedules.models import Closed, Missed, Overlap
from jobroom.schedules.services import coming_runs, ends, ownership, policy, runs
from jobroom.schedules.terminal import add_part, schedule_called, sentences, visible
from jobroom.users import User

# Runs that are listed, schedules, and next runs.
RUNS, MOST, UPCOMING = 100, 1000, 10


class Command(BaseCommand):
    """List schedules, or do something with one."""

    help = "List schedules, what became of runs that were not sent when they were due, and change what a schedule does."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the parts, each with the schedule that it is about."""
        parts = parser.add_subparsers(dest="part", required=True)
        add_part(parts, "list", "list schedules with their next runs", about="")
        add_part(parts, "next", "list the next runs of a schedule, with what changes of clocks do to them")
        add_part(parts, "runs", "list the runs of a schedule that were not sent when they were due, with the reasons")
        made = add_part(parts, "make", "make a schedule of this name, whose jobs are those of the person who makes it")
        made.add_argument("--task", required=True)
        made.add_argument(
            "--when",
            required=True,
            metavar="LINE",
            help="0 6 * * 1-5, “every 15 minutes”, a moment, or an event of the sun",
        )
        made.add_argument("--json-args", default="{}", metavar="JSON", help="arguments as one JSON object")
        made.add_argument("--queue", default="")
        made.add_argument("--description", default="")
        made.add_argument("--ends", type=moments.typed, metavar="TIME", help="such as 2026-01-31T09:30+01:00")
        _add_policy(made)
        changed = add_part(parts, "policy", "show what a schedule does when runs overlap or were missed, or change it")
        _add_policy(changed)
        paused = add_part(parts, "pause", "let it send nothing until it is resumed, or by itself from a time on")
        paused.add_argument("--reason", default="")
        paused.add_argument("--until", type=moments.typed, metavar="TIME", help="such as 2026-01-31T09:30+01:00")
        add_part(parts, "resume", "let it run again, from now on")
        skipped = add_part(parts, "skip", "leave its next run out, or another one of its next hundred")
        skipped.add_argument("--at", type=moments.typed, metavar="TIME", help="such as 2026-01-31T09:30+01:00")
        skipped.add_argument("--undo", action="store_true")
        ended = add_part(parts, "end", "let it end at a time, or not at all")
        when = ended.add_mutually_exclusive_group(required=True)
        when.add_argument("--at", type=moments.typed, metavar="TIME", help="such as 2026-01-31T09:30+01:00")
        when.add_argument("--never", action="store_true")
        add_part(parts, "drift", "list schedules that differ from the settings, with both values", about="")
        settled = add_part(parts, "settle", "choose between what the settings say of a schedule and what it is")
        chosen = settled.add_mutually_exclusive_group(required=True)
        chosen.add_argument("--take", action="store_true", help="take what the settings say")
        chosen.add_argument("--keep", action="store_true", help="keep what it is")
        add_part(parts, "run", "send its job now, and leave its next run alone")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do the part; exit with 1 for what cannot be done, and with 2 for what makes no sense."""
        by = terminal.person(options["user"])
        if options["part"] == "list":
            self._list(by, as_json=options["json"])
            return
        if options["part"] == "drift":
            self._drift(by, as_json=options["json"])
            return
        if options["part"] == "make":
            with sentences():
                said = _make(by, options)
            self.stdout.write(said)
            return
        row = schedule_called(options["name"], by)
        with sentences():
            said = _PARTS[options["part"]](row, by, options)
        if options["json"]:
            terminal.write_json(said)
            return
        self.stdout.write(said if isinstance(said, str) else "\n".join(_lines(said)))

    def _list(self, by: User | None, *, as_json: bool) -> None:
        found = bare(visible(by).select_related(*RELATED).order_by("name")[:MOST])
        rows = [
            {
                "name": row.schedule.name,
                "task": row.schedule.task,
                "sentence": row.sentence,
                "enabled": row.schedule.enabled,
                "next_run": row.next_run.isoformat() if row.next_run else None,
                "policy": policy.chosen(row.schedule),
            }
            for row in found
        ]
        if as_json:
            terminal.write_json(rows)
            return
        for row in rows:
            runs_at = row["next_run"] or ("no run" if row["enabled"] else "paused")
            self.stdout.write(f"{row['name']:<40}  {runs_at:<32}  {row['sentence']}")
        if not rows:
            self.stdout.write("There is no schedule.")

    def _drift(self, by: User | None, *, as_json: bool) -> None:
        rows = visible(by).filter(settings_schedule__isnull=False).select_related(*RELATED).order_by("name")[:MOST]
        found = [(row.name, ownership.of(row)) for row in rows]
        found = [(name, one) for name, one in found if one.differences or one.owner == ownership.GONE]
        if as_json:
            terminal.write_json([{"name": name, **dataclasses.asdict(one)} for name, one in found])
            return
        for name, one in found:
            if one.owner == ownership.GONE:
                self.stdout.write(f"{name}: its entry “{one.entry}” has left the settings")
            for each in one.differences:
                kept = f" (kept by {one.kept_by})" if each.kept else ""
                self.stdout.write(f"{name}: {each.label} is {each.mine}, the settings say {each.settings}{kept}")
        if not found:
            self.stdout.write("No schedule differs from the settings.")


def _add_policy(parser: Any) -> None:
    """Declare the options of a policy."""
    parser.add_argument("--overlap", choices=Overlap.values)
    parser.add_argument("--missed", choices=Missed.values)
    parser.add_argument("--missed-window", type=int, metavar="SECONDS", help="how old a run may be that is made up")
    parser.add_argument("--pause-after", type=int, metavar="N", help="failures in a row that pause it; 0: none do")
    parser.add_argument("--jitter", type=int, metavar="SECONDS", help="by at most so much a run is delayed")
    for name, text in (("not-on", "does not run"), ("only-on", "runs alone")):
        parser.add_argument(
            f"--{name}", nargs="*", metavar="CALENDAR", help=f"calendars on which it {text}; none: all leave"
        )
    parser.add_argument("--closed", choices=Closed.values, help="what becomes of a run that calendars do not allow")


def _lines(said: Any) -> list[str]:
    if isinstance(said, dict):
        return [f"{name}: {policy.shown(value)}" for name, value in said.items()]
    return [f"{one['due']}  {one['state']:<8}  {one['reason']}" for one in said] or [
        "Every run was sent when it was due."
    ]


def _make(by: User | None, options: dict[str, Any]) -> str:
    if by is None:
        terminal.refuse("Name the person whose schedule it is, with --as USER.")
    try:
        arguments = parse(options["json_args"])
    except ValueError as error:
        raise WrongArguments({"--json-args": [f"This is not JSON: {error}."]}) from error
    if not isinstance(arguments, dict):
        raise WrongArguments({"--json-args": ['Give a JSON object, such as {"text": "hello"}.']})
    address = launches.repeat(
        task=options["task"],
        arguments=arguments,
        by=by,
        cron=options["when"],
        name=options["name"],
        queue=options["queue"],
        description=options["description"],
        expires=options["ends"],
        policy=_given(options),
    )
    return f"The schedule is set: {address}"


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: options[name] for name in policy.FIELDS if options.get(name) is not None}


def _runs(row: PeriodicTask, by: User | None, options: dict[str, Any]) -> Any:
    return [
        {"due": run.due.isoformat(), "state": str(run.state), "reason": run.reason, "job": run.job or None}
        for run in runs.of(row, RUNS)
    ]


def _next(row: PeriodicTask, by: User | None, options: dict[str, Any]) -> Any:
    shown = coming_runs.upcoming(row, UPCOMING)
    found = [*shown, *coming_runs.at_clock_changes(row, shown)]
    if options["json"]:
        return [{**dataclasses.asdict(run), **_moments(run)} for run in found]
    lines = ["  ".join(filter(None, (run.at.isoformat(), run.local, run.note, run.closed))) for run in found]
    return "\n".join(lines) or "It has no next run."


def _moments(run: coming_runs.Run) -> dict[str, str | None]:
    moved = run.moved.isoformat() if run.moved else None
    return {"at": run.at.isoformat(), "due": run.due.isoformat(), "moved": moved}


def _policy(row: PeriodicTask, by: User | None, options: dict[str, Any]) -> Any:
    if given := _given(options):
        policy.change(row, by=by, given=given)
    return policy.values(row)


def _pause(row: PeriodicTask, by: User | None, options: dict[str, Any]) -> Any:
    until = options["until"]
    services.pause(row, by=by, reason=options["reason"], until=until)
    return f"“{row.name}” is paused{f' until {until.isoformat()}' if until else ''}."


def _resume(row: PeriodicTask, by: User | None, options: dict[str, Any]) -> Any:
    services.resume(row)
    audit.record(by, "resumed", row.name)
    return f"“{row.name}” runs again. What was missed is not made up."


def _skip(row: PeriodicTask, by: User | None, options: dict[str, Any]) -> Any:
    if options["undo"]:
        services.unskip(row)
        audit.record(by, "took back the skip of", row.name)
        return "The run takes place after all."
    moment = services.skip(row, options["at"])
    audit.record(by, "skipped a run of", row.name, outcome=f"The run of {moment.isoformat()}.")
    return f"The run of {moment.isoformat()} is left out."


def _settle(row: PeriodicTask, by: User | None, options: dict[str, Any]) -> Any:
    return (ownership.take if options["take"] else ownership.keep)(row, by=by)


def _end(row: PeriodicTask, by: User | None, options: dict[str, Any]) -> Any:
    return ends.change(row, by=by, expires=options["at"])


def _run(row: PeriodicTask, by: User | None, options: dict[str, Any]) -> Any:
    try:
        return f"Sent as job {services.run_now(row, by)}."
    except NotSent as error:
        raise NotSent(f"It was not run: {error}") from error


_PARTS: dict[str, Callable[[PeriodicTask, User | None, dict[str, Any]], Any]] = {
    "next": _next,
    "runs": _runs,
    "policy": _policy,
    "pause": _pause,
    "resume": _resume,
    "skip": _skip,
    "end": _end,
    "settle": _settle,
    "run": _run,
}

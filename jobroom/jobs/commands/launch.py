"""`manage.py launch NAME`: launch a task, and follow the job to its end if asked to."""

import argparse
import sys
from pathlib import Path
from typing import Any

from django.core.management import BaseCommand, CommandParser

from jobroom.arguments import Parameter, WrongArguments, schema_of
from jobroom.arguments.storable import parse
from jobroom.exceptions import RedisUnavailable
from jobroom.jobs import files, moments, terminal
from jobroom.jobs.exceptions import NotAllowed, TooLarge, UnknownTask
from jobroom.jobs.follower import Follower
from jobroom.jobs.gate import task_to_launch
from jobroom.jobs.launches import launch
from jobroom.jobs.models import Caching, Job, Source, State
from jobroom.limits import TooMany
from jobroom.users import User


class Command(BaseCommand):
    """Launch a task."""

    help = "Launch a task. Exit codes: 0 launched (with --follow: succeeded), 1 failed, 2 usage, 3 cancelled or lost."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the task, its arguments, and how it is launched."""
        parser.add_argument("name", help="name of the task; `manage.py jobroom tasks` lists them")
        parser.add_argument(
            "--arg",
            action="append",
            default=[],
            type=_pair,
            metavar="NAME=VALUE",
            help="an argument; of a file its path",
        )
        parser.add_argument("--json-args", default="{}", metavar="JSON", help="arguments as one JSON object")
        parser.add_argument("--queue", default="")
        parser.add_argument(
            "--at", type=moments.typed, metavar="TIME", help="not before this time, such as 2030-01-31T18:00"
        )
        answers = parser.add_mutually_exclusive_group()
        for name, text in Caching.choices:
            if name:
                flag = f"--{name.replace('_', '-')}"
                answers.add_argument(
                    flag, dest="caching", action="store_const", const=name, default="", help=text.lower()
                )
        parser.add_argument("--follow", action="store_true", help="show progress and log until it ends")
        parser.add_argument("--json", action="store_true", help="write the job as JSON")
        parser.add_argument("--as", dest="user", metavar="USER", help="launch as this person, with their rights")

    def handle(self, *args: Any, **options: Any) -> None:
        """Launch; follow if asked to, and exit with what the end of the job means."""
        job = self._launched(terminal.person(options["user"]), options)
        quiet = bool(options["json"])
        if not options["follow"]:
            if quiet:
                terminal.write_json(terminal.described(job))
            else:
                self.stdout.write(f"Job {job.pk} is {job.state}. `manage.py jobroom show {job.pk}` shows more.")
            return
        try:
            ended = Follower(sys.stderr if quiet else sys.stdout).follow(job)
        except KeyboardInterrupt:
            terminal.refuse(
                f"Not followed any more; the job goes on. `manage.py jobroom cancel {job.pk}` ends it.", 130
            )
        except RedisUnavailable as error:
            terminal.refuse(f"The job cannot be followed: {error}", 1)
        if quiet:
            terminal.write_json(terminal.described(ended))
        sys.exit(terminal.EXIT[State(ended.state)])

    def _launched(self, by: User | None, options: dict[str, Any]) -> Job:
        try:
            parameters = {p.name: p for p in schema_of(task_to_launch(options["name"], by)).parameters}
            arguments = _arguments(options["json_args"], dict(options["arg"]), parameters, by)
            return launch(
                task=options["name"],
                arguments=arguments,
                by=by,
                source=Source.COMMAND,
                queue=options["queue"],
                run_after=options["at"],
                caching=options["caching"],
            )
        except WrongArguments as wrong:
            terminal.refuse("\n".join(f"{name}: {' '.join(texts)}" for name, texts in wrong.errors.items()))
        except (UnknownTask, NotAllowed, TooLarge, TooMany) as error:
            terminal.refuse(str(error))


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def _arguments(text: str, pairs: dict[str, str], parameters: dict[str, Parameter], by: User | None) -> dict[str, Any]:
    try:
        given = parse(text, storable=False)
    except ValueError as error:
        raise WrongArguments({"--json-args": [f"This is not JSON: {error}."]}) from error
    if not isinstance(given, dict):
        raise WrongArguments({"--json-args": ['Give a JSON object, such as {"text": "hello"}.']})
    return {**given, **{name: _value(name, value, parameters.get(name), by) for name, value in pairs.items()}}


def _value(name: str, text: str, parameter: Parameter | None, by: User | None) -> Any:
    """Return the value of `--arg`: JSON for what is no single text, the id of a kept copy for the path of a file."""
    if parameter is None:
        return text
    if parameter.kind == "file" and Path(text).is_file():
        return str(files.store_path(Path(text), by, uploaded=True).pk)
    if parameter.nullable and text == "null":
        return None
    if parameter.kind not in {"list", "json", "models"}:
        return text
    try:
        return parse(text)
    except ValueError as error:
        raise WrongArguments({name: [f"Give JSON: {error}."]}) from error

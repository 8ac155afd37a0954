"""`manage.py workflow`: run, list, show, pause, cancel, resume and approve workflows, check and load definitions."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from django.core.management import BaseCommand, CommandParser

from jobroom.arguments import WrongArguments
from jobroom.arguments.redaction import hide
from jobroom.arguments.storable import parse
from jobroom.exceptions import RedisUnavailable
from jobroom.jobs import terminal as jobs_terminal
from jobroom.limits import TooMany
from jobroom.workflows import arrivals, launches, policies, services, signed_links, terminal
from jobroom.workflows.definitions import registry
from jobroom.workflows.definitions.recipe import Recipe
from jobroom.workflows.exceptions import NotAllowed, WorkflowException
from jobroom.workflows.graph import Node
from jobroom.workflows.models import Definition, State, StoredWorkflow
from jobroom.workflows.querysets import StoredWorkflowQuerySet

ACTIONS = ("show", "cancel", "pause", "unpause", "resume")


class Command(BaseCommand):
    """Work with workflows."""

    help = "Work with workflows. Exit codes: 0 succeeded, 1 failed, 2 usage, 3 cancelled."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare what can be done."""
        parts = parser.add_subparsers(dest="action", required=True, parser_class=argparse.ArgumentParser)
        run = parts.add_parser("run", help="launch a definition: a file, or the name of one that is kept")
        run.add_argument("what", metavar="FILE|NAME")
        run.add_argument("--payload", default="{}", metavar="JSON")
        run.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="one field of the payload")
        run.add_argument("--follow", action="store_true", help="show what happens until it ends")
        run.add_argument("--note", default="")
        for name in ACTIONS:
            parts.add_parser(name).add_argument("id", help="its beginning is enough if only one has it")
        resume = parts.choices["resume"]
        resume.add_argument(
            "--change", action="append", default=[], metavar="NODE=JSON", help="its new args and kwargs"
        )
        resume.add_argument(
            "--set",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="another value for an input of the workflow",
        )
        resume.add_argument(
            "--done", action="append", default=[], metavar="NODE=JSON", help="it need not run; its result"
        )
        resume.add_argument(
            "--again", action="append", default=[], metavar="NODE", help="it runs again with all that follows it"
        )
        decide = parts.add_parser("decide", help="answer an approval")
        decide.add_argument("id")
        decide.add_argument("node", help="key of the node")
        decide.add_argument("answer", choices=["approve", "deny"])
        decide.add_argument("--comment", default="")
        deliver = parts.add_parser("deliver", help="deliver the event that a node waits for")
        link = parts.add_parser("link", help="make a link with which anyone who holds it delivers an event, once")
        for part in (deliver, link):
            part.add_argument("id")
            part.add_argument("node", help="key of the node")
        deliver.add_argument("--data", default="null", metavar="JSON", help="what the nodes after it may use")
        listed = parts.add_parser("list", help="the newest workflows")
        listed.add_argument("--state", choices=[state.value for state in State])
        parts.add_parser("definitions", help="what can be launched by name")
        for name, text in (("check", "say whether a file is right"), ("load", "keep a file as the newest version")):
            parts.add_parser(name, help=text).add_argument("file", type=Path)
        for part in parts.choices.values():
            part.add_argument("--json", action="store_true", help="write JSON")
            part.add_argument("--as", dest="user", metavar="USER", help="as this person, with their rights")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do what is asked; what people can mend is one sentence."""
        try:
            getattr(self, f"_{options['action']}")(options)
        except WrongArguments as wrong:
            errors = wrong.errors
            text = next(iter(errors.values()))[0] if set(errors) <= {"text", "definition"} else None
            jobs_terminal.refuse(text or "\n".join(f"{name}: {' '.join(texts)}" for name, texts in errors.items()))
        except (WorkflowException, TooMany) as error:
            jobs_terminal.refuse(str(error))

    # Launching

    def _run(self, options: dict[str, Any]) -> None:
        by, payload = jobs_terminal.person(options["user"]), _payload(options)
        common = {"payload": payload, "by": by, "source": "command", "note": options["note"]}
        path = Path(options["what"])
        if path.suffix in {".yaml", ".yml"} or path.is_file():
            stored = launches.launch_text(_text(path), **common)
        else:
            stored = launches.launch(definition=options["what"], **common)
        quiet = bool(options["json"])
        if not options["follow"]:
            self._show_one(stored, quiet=quiet, short=True)
            return
        try:
            ended = terminal.Follower(sys.stderr if quiet else sys.stdout).follow(stored)
        except KeyboardInterrupt:
            jobs_terminal.refuse(
                f"Not followed any more; it goes on. `manage.py jobroom workflow cancel {stored.pk}` ends it.", 130
            )
        except RedisUnavailable as error:
            jobs_terminal.refuse(f"The workflow cannot be followed: {error}", 1)
        self._show_one(ended, quiet=quiet)
        sys.exit(terminal.EXIT[State(ended.state)])

    def _show_one(self, stored: StoredWorkflow, *, quiet: bool, short: bool = False) -> None:
        if quiet:
            jobs_terminal.write_json(terminal.described(stored))
        elif short:
            self.stdout.write(
                f"Workflow {stored.pk} is launched. `manage.py jobroom workflow show {stored.pk}` shows more."
            )
        else:
            self.stdout.write("\n".join(terminal.lines_of(stored)))
            if stored.state == State.SUCCESS and stored.result is not None:
                self.stdout.write(f"  result    {json.dumps(hide(stored.result), ensure_ascii=False)}")

    # One workflow

    def _show(self, options: dict[str, Any]) -> None:
        self._show_one(_called(options), quiet=options["json"])

    def _cancel(self, options: dict[str, Any]) -> None:
        done = services.cancel(_called(options), by=jobs_terminal.person(options["user"]), name="the command line")
        self._say(options, str(done))

    def _pause(self, options: dict[str, Any]) -> None:
        services.pause(_called(options), by=jobs_terminal.person(options["user"]))
        self._say(options, "No more nodes are started; those that run continue.")

    def _unpause(self, options: dict[str, Any]) -> None:
        services.unpause(_called(options), by=jobs_terminal.person(options["user"]))
        self._say(options, "It goes on.")

    def _resume(self, options: dict[str, Any]) -> None:
        changes, done = _by_node(options, "change"), _by_node(options, "done")
        by = jobs_terminal.person(options["user"])
        again = services.resume(
            _called(options), by=by, changes=changes, inputs=_pairs(options), done=done, again=options["again"]
        )
        self._say(options, f"Goes on at {', '.join(node.key for node in again) or 'what had not started'}.")

    def _decide(self, options: dict[str, Any]) -> None:
        by = jobs_terminal.person(options["user"])
        rows = StoredWorkflow.objects.all()
        stored = _among(rows if by is None else rows.decidable_by(by), options["id"])
        node = next((node for node in stored.read_graph().nodes if node.key == options["node"]), None)
        asked = by is not None and node is not None and policies.may_decide(by, stored, node)
        if by is not None and not asked and not policies.may_see(by, stored):
            jobs_terminal.refuse(f"There is no workflow {options['id']}.")
        if node is None:
            jobs_terminal.refuse(f"The workflow has no node “{options['node']}”.")
        arrivals.decide(stored, node, approve=options["answer"] == "approve", by=by, comment=options["comment"])
        self._say(options, "It is decided.")

    def _deliver(self, options: dict[str, Any]) -> None:
        stored, node = _node_called(options)
        try:
            data = parse(options["data"])
        except ValueError as error:
            jobs_terminal.refuse(f"--data is not JSON: {error}")
        by = jobs_terminal.person(options["user"])
        arrivals.deliver(stored, node, data, by=by, who="the command line")
        self._say(options, "It is delivered.")

    def _link(self, options: dict[str, Any]) -> None:
        stored, node = _node_called(options)
        self._say(options, signed_links.make(stored, node, by=jobs_terminal.person(options["user"])))

    def _say(self, options: dict[str, Any], text: str) -> None:
        if options["json"]:
            jobs_terminal.write_json({"id": options["id"], "detail": text})
        else:
            self.stdout.write(text)

    # Many

    def _list(self, options: dict[str, Any]) -> None:
        rows = StoredWorkflow.objects.without_bulk().newest_first()
        if by := jobs_terminal.person(options["user"]):
            rows = rows.visible_to(by)
        if options["state"]:
            rows = rows.filter(state=options["state"])
        found = list(rows[:50])
        if options["json"]:
            keys = ("id", "name", "state", "total", "counts", "created_at", "finished_at")
            jobs_terminal.write_json([{key: getattr(row, key) for key in keys} for row in found])
            return
        for row in found:
            self.stdout.write(f"{row.pk}  {row.get_state_display():<10} {row.total:>6} nodes  {row.name}")
        if not found:
            self.stdout.write("There is no workflow yet. `manage.py jobroom workflow run FILE` launches one.")

    def _definitions(self, options: dict[str, Any]) -> None:
        by = jobs_terminal.person(options["user"])
        rows = Definition.objects.order_by("name") if by is None else policies.launchable_by(by)
        if options["json"]:
            jobs_terminal.write_json([{"name": row.name, "title": row.title} for row in rows])
        else:
            self.stdout.write("\n".join(f"{row.name:<30} {row.title}" for row in rows) or "There is none yet.")

    def _check(self, options: dict[str, Any]) -> None:
        jobs_terminal.person(options["user"])
        recipe = Recipe(_text(options["file"]), registry.source_of)
        recipe.check()
        self._say({**options, "id": recipe.name}, f"“{recipe.name}” is right: {len(recipe.nodes)} nodes.")

    def _load(self, options: dict[str, Any]) -> None:
        by = jobs_terminal.person(options["user"])
        if by is not None and not policies.may_write(by):
            raise NotAllowed("Only staff may load definitions, as they may name any task.")
        version = registry.keep(_text(options["file"]), origin=str(options["file"].name))
        self._say(
            {**options, "id": version.definition.name},
            f"“{version.definition.name}” is kept as version {version.number}.",
        )


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        jobs_terminal.refuse(f"{path} cannot be read: {error}")


def _payload(options: dict[str, Any]) -> dict[str, Any]:
    try:
        found = parse(options["payload"], storable=False)
    except ValueError as error:
        jobs_terminal.refuse(f"--payload is not JSON: {error}")
    if not isinstance(found, dict):
        jobs_terminal.refuse('--payload is a JSON object, such as {"asset": 1}.')
    return found | _pairs(options)


def _pairs(options: dict[str, Any]) -> dict[str, Any]:
    found = {}
    for pair in options["set"]:
        name, sign, value = pair.partition("=")
        if not sign:
            jobs_terminal.refuse(f"--set {pair} is not NAME=VALUE.")
        found[name] = _value(value)
    return found


def _by_node(options: dict[str, Any], name: str) -> dict[str, Any]:
    """Return what is said of nodes, by their keys."""
    found = {}
    for pair in options[name]:
        key, sign, text = pair.partition("=")
        try:
            found[key] = parse(text if sign else "null")
        except ValueError as error:
            jobs_terminal.refuse(f"--{name} {key}: {text} is not JSON: {error}")
        if name == "change" and not isinstance(found[key], dict):
            jobs_terminal.refuse(f'--change {key} is given a JSON object, such as {{"args": [1]}}.')
    return found


def _value(text: str) -> Any:
    try:
        return parse(text)
    except ValueError:
        return text


def _called(options: dict[str, Any]) -> StoredWorkflow:
    """Return the workflow that is meant, if the person may see it; the beginning of its id is enough if only one has it."""
    by = jobs_terminal.person(options["user"])
    return _among(StoredWorkflow.objects.all() if by is None else StoredWorkflow.objects.visible_to(by), options["id"])


def _node_called(options: dict[str, Any]) -> tuple[StoredWorkflow, Node]:
    """Return the workflow that is meant, and its node."""
    stored = _called(options)
    node = next((node for node in stored.read_graph().nodes if node.key == options["node"]), None)
    if node is None:
        jobs_terminal.refuse(f"The workflow has no node “{options['node']}”.")
    return stored, node


def _among(rows: StoredWorkflowQuerySet, asked: str) -> StoredWorkflow:
    workflow_id = asked.replace("\x00", "")
    found = list(rows.filter(pk__startswith=workflow_id).order_by("pk")[:2]) if len(workflow_id) > 3 else []
    if found and (len(found) == 1 or found[0].pk == workflow_id):
        return found[0]
    none = f"There is no workflow {workflow_id}."
    return jobs_terminal.refuse(f"More than one begins with {workflow_id}." if found else none)

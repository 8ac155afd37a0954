"""Every role with every command that acts for a person: as declared here, or the test fails."""

import argparse
import io
import json
from contextlib import suppress

import pytest
from django.core.management import CommandError, call_command, get_commands, load_command_class

from image.tests import policy
from image.tests import world as making
from jobroom.jobs.models import Job, State

pytestmark = pytest.mark.django_db

NONE = "22222222-bbbb-4bbb-8bbb-222222222222"
# Anyone who has a shell acts as the machine, which sees and may everything. Without `--as` these can do nothing else.
OF_THE_MACHINE = {
    "audit", "check_waiting", "deadletters", "doctor", "health", "jobroom", "jobs", "lint", "load_vocabulary", "purge_answers", "record", "show",
    "tasks", "test", "test_spam_detector", "train_spam_detector", "up",
}  # fmt: skip
# Who is let in; the second are refused, as they see it; to all others it does not exist.
NONE_OF_THEM: frozenset[str] = frozenset()
RIGHTS = {
    "launch": (policy.LAUNCH, policy.SEE_TASK - policy.LAUNCH),
    "drain": (policy.BOSS, policy.EVERYONE - policy.BOSS),
    "times": (policy.EVERYONE, NONE_OF_THEM),
    "locks": (policy.STAFF, policy.EVERYONE - policy.STAFF),
    "queues": (policy.STAFF, policy.EVERYONE - policy.STAFF),
    "pause": (policy.BOSS, policy.EVERYONE - policy.BOSS),
    "resume": (policy.BOSS, policy.EVERYONE - policy.BOSS),
    "cancel": (policy.CANCEL, policy.SEE_JOB - policy.CANCEL),
    "retry": (policy.CANCEL - {"owner"}, policy.SEE_JOB - policy.CANCEL | {"owner"}),  # she may not launch the task
    "schedules list": (policy.EVERYONE, NONE_OF_THEM),
    "schedules make": (policy.LAUNCH, policy.SEE_TASK - policy.LAUNCH),
    "schedules drift": (policy.EVERYONE, NONE_OF_THEM),
    "schedules settle": (policy.OWNER, NONE_OF_THEM),
    "schedules next": (policy.OWNER, NONE_OF_THEM),
    "schedules runs": (policy.OWNER, NONE_OF_THEM),
    "schedules policy": (policy.OWNER, NONE_OF_THEM),
    "schedules pause": (policy.OWNER, NONE_OF_THEM),
    "schedules resume": (policy.OWNER, NONE_OF_THEM),
    "schedules end": (policy.OWNER, NONE_OF_THEM),
    "schedules skip": (policy.OWNER, NONE_OF_THEM),
    "schedules run": (policy.OWNER, NONE_OF_THEM),
    "backfill plan": (policy.OWNER, NONE_OF_THEM),
    "backfill start": (policy.OWNER, NONE_OF_THEM),
    "backfill list": (policy.OWNER, NONE_OF_THEM),
    "backfill show": (policy.OWNER, NONE_OF_THEM),
    "backfill pause": (policy.OWNER, NONE_OF_THEM),
    "backfill resume": (policy.OWNER, NONE_OF_THEM),
    "backfill cancel": (policy.OWNER, NONE_OF_THEM),
    "calendars list": (policy.EVERYONE, NONE_OF_THEM),
    "calendars show": (policy.EVERYONE, NONE_OF_THEM),
    "calendars set": (policy.STAFF, policy.EVERYONE - policy.STAFF),
    "calendars delete": (policy.STAFF, policy.EVERYONE - policy.STAFF),
    "alerts list": (policy.EVERYONE, NONE_OF_THEM),
    "alerts add": (policy.EVERYONE, NONE_OF_THEM),
    "alerts show": (policy.OWNER_ALONE, NONE_OF_THEM),
    "alerts test": (policy.OWNER_ALONE, NONE_OF_THEM),
    "alerts drop": (policy.OWNER_ALONE, NONE_OF_THEM),
    "deadlines list": (policy.EVERYONE, NONE_OF_THEM),
    "deadlines add": (policy.BOSS, policy.EVERYONE - policy.BOSS),
    "deadlines drop": (policy.BOSS, policy.EVERYONE - policy.BOSS),
    "failures list": (policy.EVERYONE, NONE_OF_THEM),
    "failures show": (policy.STAFF, NONE_OF_THEM),
    "failures mute": (policy.BOSS, policy.STAFF - policy.BOSS),
    "failures resolve": (policy.BOSS, policy.STAFF - policy.BOSS),
    "failures reopen": (policy.BOSS, policy.STAFF - policy.BOSS),
    "failures retry": (policy.BOSS, policy.STAFF - policy.BOSS),
    "failures stop-retry": (policy.BOSS, policy.STAFF - policy.BOSS),
    "failures assign": (policy.BOSS, policy.STAFF - policy.BOSS),
    "workflow run": (policy.LAUNCH, NONE_OF_THEM),
    "workflow show": (policy.OWNER, NONE_OF_THEM),
    "workflow cancel": (policy.OWNER, NONE_OF_THEM),
    "workflow pause": (policy.OWNER, NONE_OF_THEM),
    "workflow unpause": (policy.OWNER, NONE_OF_THEM),
    "workflow resume": (policy.OWNER, NONE_OF_THEM),
    "workflow decide": (policy.STAFF, frozenset({"owner"})),
    "workflow deliver": (policy.OWNER, frozenset()),
    "workflow link": (policy.OWNER, frozenset()),
    "workflow list": (policy.EVERYONE, NONE_OF_THEM),
    "workflow definitions": (policy.EVERYONE, NONE_OF_THEM),
    "workflow check": (policy.EVERYONE, NONE_OF_THEM),
    "workflow load": (policy.STAFF, policy.EVERYONE - policy.STAFF),
}
# What operators do to workers, queues and locks, with words that are complete.
OF_OPERATORS = {
    "pause": ["queue", "default", "--reason", "x"],
    "resume": ["queue", "default"],
    "drain": ["no-worker"],
    "workers": ["no-worker", "restart"],
    "locks": ["--break", "no-lock", "--reason", "x"],
    "queues": ["purge", "default", "--reason", "x", "--yes"],
}
OUR_APPS = ("common", "jobroom", "ontology", "biosample", "assets", "text", "demo", "image")
REFUSED = (
    "You may not",
    "Only ",
    "Giving commands to workers needs",
    "Changing queues",
)  # how those are answered who see what they may not do
GONE = (
    "There is no job ",
    "There is no rule ",
    "There is no cause ",
    "There is no calendar “",
    "There is no schedule “",
    "There is no task",
    "There is no definition",
    "There is no active",
)


def parsers():
    """Yield the words of each command of ours, of each of its parts too, with the options that it takes."""
    for name, app in get_commands().items():
        if not app.startswith("django"):
            yield from _parts(name, load_command_class(app, name).create_parser("manage.py", name))


def _parts(words, parser):
    parts = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not parts:
        yield words, {option for action in parser._actions for option in action.option_strings}
    for action in parts:
        for name, part in action.choices.items():
            yield from _parts(f"{words} {name}", part)


def test_every_command_is_declared():
    """A new command, or a new part of one, is declared here, whether it acts for a person or for the machine."""
    ours = [(words, options) for words, options in parsers() if not words.startswith("jobroom ")]
    assert {words for words, options in ours if "--as" in options} == set(RIGHTS) | set(OF_OPERATORS)
    alone = {words.split()[0] for words, options in ours if "--as" not in options}
    foreign = {name for name, app in get_commands().items() if not app.startswith(OUR_APPS)}
    assert alone - foreign == OF_THE_MACHINE


@pytest.fixture
def things(world, tmp_path):
    """Return what stands after each command: once what there is, and once what there is not."""
    waiting = Job.objects.create(id="66666666-ffff-4fff-8fff-666666666666", task=making.TASK, state=State.RUNNING,
                                 owner=world.people["owner"])  # fmt: skip
    text = tmp_path / "sums.yaml"
    text.write_text(making.SUMS)
    flow = str(world.things["workflow_id"].pk)
    found = {f"workflow {action}": ([flow], [NONE]) for action in ("show", "cancel", "pause", "unpause", "resume")}
    name = world.things["schedule_id"].name
    found |= {
        f"schedules {part}": ([name], [NONE]) for part in ("next", "runs", "policy", "pause", "resume", "skip", "run")
    }
    cause = world.things["group_id"].pk
    found |= {
        f"failures {part}": ([cause], ["0" * 32])
        for part in ("show", "mute", "resolve", "reopen", "assign", "retry", "stop-retry")
    }
    rule = str(world.things["alert_id"].pk)
    found |= {f"alerts {part}": ([rule], ["999999"]) for part in ("show", "test", "drop")}
    number = str(world.things["backfill_id"].pk)
    found |= {f"backfill {part}": ([name, number], [NONE, number]) for part in ("show", "pause", "resume", "cancel")}
    long_ago = "--since=2026-01-01"
    found |= {f"backfill {part}": ([name, long_ago], [NONE, long_ago]) for part in ("plan", "start")}
    return found | {
        "backfill list": ([name], [NONE]),
        "schedules list": ([], []),
        "schedules drift": ([], []),
        "schedules make": (
            [making.TASK, "--task", making.TASK, "--when=every hour", '--json-args={"text": "x"}'],
            ["demo.ecco", "--task", "demo.ecco", "--when=every hour"],
        ),
        "schedules settle": ([name, "--keep"], [NONE, "--keep"]),
        "schedules end": ([name, "--never"], [NONE, "--never"]),
        "calendars list": ([], []),
        **{f"calendars {part}": ([world.things["calendar_id"].name], [NONE]) for part in ("show", "delete")},
        "calendars set": ([world.things["calendar_id"].name, "--days", "2030-01-01"], []),
        "alerts list": ([], []),
        "alerts add": (["task", making.TASK], ["task", "demo.ecco"]),
        "deadlines list": ([], []),
        "deadlines add": (["task", "demo.add", "--within=60"], ["task", "demo.ad", "--within=60"]),
        "deadlines drop": (["task", making.TASK], ["task", "demo.ecco"]),
        "failures list": ([], []),
        "launch": ([making.TASK, "--arg=text=x"], ["demo.ecco", "--arg=text=x"]),
        "drain": ([], []),
        "locks": ([], []),
        "times": ([], []),
        "queues": ([], []),
        "pause": (["queue", "default", "--reason=x"], []),
        "resume": (["queue", "default"], []),
        "cancel": ([waiting.pk], [NONE]),
        "retry": ([world.things["job_id"].pk], [NONE]),
        "workflow run": (["hidden-sums"], ["hidden-summs"]),
        "workflow decide": ([flow, "k0", "approve"], [NONE, "k0", "approve"]),
        "workflow deliver": ([flow, "k0"], [NONE, "k0"]),
        "workflow link": ([flow, "k0"], [NONE, "k0"]),
        "workflow list": ([], []),
        "workflow definitions": ([], []),
        "workflow check": ([str(text)], [str(text)]),
        "workflow load": ([str(text)], [str(text)]),
    }


def said(command, words, role):
    """Return what the command answers a person, and its exit status; nothing that it writes stays."""
    out = io.StringIO()
    with making.undone():
        try:
            with suppress(SystemExit):
                call_command(*command.split(), *words, "--as", role, stdout=out)
        except CommandError as refused:
            return str(refused), refused.returncode
    return out.getvalue(), 0


def plain(answer, words):
    return json.dumps(answer).replace(words[0], "…") if words else json.dumps(answer)


@pytest.mark.parametrize("command", RIGHTS)
def test_every_role(world, things, command):
    let_in, refused = RIGHTS[command]
    there, none = things[command]
    for role in making.ROLES[1:]:  # without a name no one is anonymous in a shell, but the machine
        answer = said(command, there, role)
        if role == "left":
            assert answer == ("There is no active user called “left”.", 2), command
        elif role in let_in:
            # Done, or refused for another reason than who asks.
            assert not answer[0].startswith((*REFUSED, *GONE)), f"{role}: {answer}"
            assert not there or answer[0] != f"There is no workflow {there[0]}.", f"{role}: {answer}"
        elif role in refused:
            assert answer[1] in {1, 2}, f"{role}: {answer}"
            assert answer[0].startswith(REFUSED), f"{role}: {answer}"
        else:
            assert answer[1], f"{role} {command}: {answer}"
            assert plain(answer, there) == plain(said(command, none, role), none), f"{role} {command}: {answer}"


@pytest.mark.parametrize("command", OF_OPERATORS)
def test_workers_queues_and_locks_are_for_operators(world, command):
    for role in policy.EVERYONE - policy.STAFF | {"left"}:
        text, code = said(command, OF_OPERATORS[command], role)
        assert code, f"{role}: {text}"
        assert "no-worker" not in text, f"{role} learns which workers there are: {text}"

"""Every command says what is wrong in a sentence, whatever is closed, away or misspelt: a traceback is for no one's terminal."""

import os
import sys
from pathlib import Path

import pytest
from django.core.management import execute_from_command_line, get_commands
from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper

from jobroom import redis
from jobroom.management.commands.jobroom import commands
from jobroom.runner import command_line
from jobroom.runner.command_line import PIPE_CLOSED

NO_JOB = "00000000-dead-4dad-8dad-000000000000"
HERE = str(Path(__file__).resolve())  # a file that is none of those that these commands read

# Words that bring each command as far as to its work.
WORDS = {
    "alerts": ["list", "--as", "no-one"],
    "audit": [HERE],
    "backfill": ["list", "no schedule"],
    "calendars": ["list"],
    "cancel": [NO_JOB],
    "check_waiting": [],
    "deadletters": [],
    "deadlines": ["list"],
    "doctor": [],
    "drain": ["--timeout", "0.1"],
    "failures": ["list"],
    "health": [],
    "import_results": [],
    "jobroom": [],
    "jobs": [],
    "launch": ["demo.add", "--arg=x=1", "--arg=y=2"],
    "load_vocabulary": ["breed", HERE],
    "locks": [],
    "pause": ["queue", "aside", "--reason", "a test"],
    "purge_answers": [],
    "queues": [],
    "resume": ["queue", "aside"],
    "retry": [NO_JOB],
    "schedules": ["list"],
    "show": [NO_JOB],
    "tasks": [],
    "test_spam_detector": ["--message", "hello"],
    "times": [],
    "train_spam_detector": [HERE],
    "upgrade": [],
    "workers": [],
    "workflow": ["list"],
}
# Commands that run other programs for long: what they say when something is away has tests of its own.
OTHERS = {"lint", "record", "test", "up"}
NEED_REDIS = {"purge_answers", "workers"}
NEED_DATABASE = {
    "alerts", "backfill", "calendars", "cancel", "check_waiting", "deadletters", "deadlines", "failures", "jobs", "launch", "retry", "schedules", "show", "test_spam_detector", "times", "workflow",
}  # fmt: skip
# Commands that write to the standard output also where there is nothing to list.
SPEAK = {
    "calendars",
    "check_waiting",
    "deadletters",
    "deadlines",
    "doctor",
    "failures",
    "health",
    "jobroom",
    "launch",
    "schedules",
    "tasks",
    "times",
    "workers",
}
NAMES = sorted(WORDS)


def ours():
    """Return the names of all commands that stand in this project, as Django and `jobroom` find them."""
    folders = ("jobroom", "common", "image", "ontology", "text", "assets", "biosample", "demo")
    return {name for name, place in get_commands().items() if place.split(".")[0] in folders} | set(commands())


def test_every_command_is_tried():
    assert ours() == set(WORDS) | OTHERS


def line(name):
    """Return the words as they are in this installation, and as they are in any other project."""
    short = [["manage.py", name]] if name in get_commands() else []
    return [*short, *([["manage.py", "jobroom", name]] if name in commands() else [])]


EVERY = [(name, words) for name in NAMES for words in line(name)]


def run(monkeypatch, words, stdout=None):
    """Run a command as this installation does, the package's as a project with Django's manage.py does; return code and errors.

    What is written goes into files of their own: a closed pipe is put out of the way by its number.
    """
    kept = [os.memfd_create("said") for _ in "oe"]
    out, err = (os.fdopen(os.dup(number), "w") for number in kept)
    with out, err, monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", stdout or out)
        patched.setattr(sys, "stderr", err)
        code = _run(words)
    texts = [os.pread(number, 1_000_000, 0).decode() for number in kept]
    for number in kept:
        os.close(number)
    assert "Traceback" not in "".join(texts), texts
    assert "fault of ours" not in texts[1], texts[1]
    return code, texts[1]


def _run(words):
    if words[1] != "jobroom":
        return command_line.run(words)
    try:
        execute_from_command_line(words)
    except SystemExit as ended:
        return ended.code or 0
    return 0


@pytest.mark.parametrize(("name", "words"), EVERY, ids=lambda value: " ".join(value) if isinstance(value, list) else "")
class TestEveryCommand:
    def test_a_closed_pipe(self, db, name, words, monkeypatch):
        redis.client().flushdb()
        reader, writer = os.pipe()
        os.close(reader)
        with os.fdopen(writer, "w") as closed:
            code, err = run(monkeypatch, [*words, *WORDS[name]], closed)
            with Path(os.devnull).open("w") as nowhere:  # for what is still in its buffer
                os.dup2(nowhere.fileno(), closed.fileno())
        assert code == PIPE_CLOSED or (name not in SPEAK and (not code or err.strip())), (code, err)

    def test_a_wrong_option(self, name, words, monkeypatch):
        code, err = run(monkeypatch, [*words, *WORDS[name], "--no-such-option"])
        assert code == 2, err
        assert "--no-such-option" in err

    def test_redis_away(self, db, name, words, monkeypatch, settings):
        with monkeypatch.context() as patched:
            away(patched)
            code, err = run(monkeypatch, [*words, *WORDS[name]])
        assert not code or err.strip()
        if name in NEED_REDIS:
            assert code == 1, err
            assert "does not answer" in err

    def test_the_database_away(self, name, words, monkeypatch):
        def gone(self):
            raise OperationalError("connection refused")

        monkeypatch.setattr(BaseDatabaseWrapper, "ensure_connection", gone)
        code, err = run(monkeypatch, [*words, *WORDS[name]])
        assert not code or err.strip()
        if name in NEED_DATABASE:
            assert code == 1, err
            assert "The database does not answer: connection refused" in err


def away(monkeypatch):
    """Let Redis and the broker refuse every connection."""

    def refuse(*args, **kwargs):
        raise redis.Error("Connection refused")

    monkeypatch.setattr("redis.connection.AbstractConnection.connect", refuse)
    monkeypatch.setattr("redis.connection.AbstractConnection.send_packed_command", refuse)


@pytest.mark.parametrize("name", ["cancel", "retry", "show"])
@pytest.mark.parametrize("bad", [NO_JOB, "x", "", "\x00", "x" * 5000, "../..", "-1", "٣"])
def test_a_bad_id(db, name, bad, monkeypatch):
    redis.client().flushdb()
    code, err = run(monkeypatch, ["manage.py", name, "--", bad])
    assert code == 2, err
    assert err.strip()


def test_an_unknown_command(monkeypatch):
    code, err = run(monkeypatch, ["manage.py", "lanch"])
    assert code == 1, err
    assert "Unknown command: 'lanch'" in err


def test_an_unknown_command_of_the_package(monkeypatch):
    code, err = run(monkeypatch, ["manage.py", "jobroom", "lanch"])
    assert code == 2, err
    assert "There is no command 'lanch'" in err

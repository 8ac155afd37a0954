"""`manage.py` as a person types it: no traceback, and the exit codes of the reference."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest
from django.db import OperationalError
from django.db.backends.utils import CursorWrapper

from jobroom.runner import command_line

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = ["jobs", "show abc", "cancel abc", "retry abc", "launch demo.echo --arg=text=x", "workflow list"]


def _start(argv, tmp_path, **options):
    environment = {**os.environ, "IMAGE_NO_VENV": "1", "IMAGE_VAR": str(tmp_path), **options.pop("env", {})}
    return subprocess.Popen([sys.executable, *argv], cwd=ROOT, stderr=subprocess.PIPE, env=environment, **options)


@pytest.mark.django_db
@pytest.mark.parametrize("words", COMMANDS)
def test_a_database_that_is_away_is_a_sentence_of_each_command(words, capsys):
    away = OperationalError("connection refused\nIs the server running?")
    every = {"execute": mock.Mock(side_effect=away), "executemany": mock.Mock(side_effect=away)}
    with mock.patch.multiple(CursorWrapper, **every):
        assert command_line.run(["manage.py", *words.split()]) == 1
    said = capsys.readouterr().err
    assert "The database does not answer: connection refused." in said
    assert "Traceback" not in said


def test_redis_that_is_away_is_a_sentence(settings, capsys):
    settings.JOBROOM = settings.JOBROOM | {"REDIS_URL": "redis://127.0.0.1:1/0"}
    assert command_line.run(["manage.py", "workers"]) == 1
    said = capsys.readouterr().err
    assert "Redis does not answer" in said
    assert "Traceback" not in said


def test_what_no_one_expected_is_a_sentence_unless_one_asks_for_more(capsys):
    def fail(argv):
        raise KeyError("left out")

    with mock.patch("django.core.management.execute_from_command_line", fail):
        assert command_line.run(["manage.py", "jobs"]) == 1
        assert "--traceback shows all of it" in capsys.readouterr().err
        with pytest.raises(KeyError):
            command_line.run(["manage.py", "jobs", "--traceback"])


def test_words_that_are_no_text_are_refused(capsys):
    assert command_line.run(["manage.py", "show", os.fsdecode(b"\xff")]) == 2
    assert "is not UTF-8 text" in capsys.readouterr().err


@pytest.mark.acceptance
def test_a_database_without_tables_says_what_to_run(tmp_path):
    url = {"DATABASE_URL": f"sqlite:///{tmp_path}/empty.sqlite3", "REDIS_URL": "redis://127.0.0.1:1/0"}
    process = _start(["manage.py", "jobs"], tmp_path, stdout=subprocess.PIPE, env=url)
    shown, said = process.communicate(timeout=90)
    assert (process.returncode, shown) == (1, b"")
    assert b"manage.py migrate" in said
    assert b"Traceback" not in said


@pytest.mark.acceptance
def test_a_closed_pipe_ends_a_command_as_it_ends_others(tmp_path):
    read, write = os.pipe()
    os.close(read)
    process = _start(["manage.py", "tasks"], tmp_path, stdout=write)
    os.close(write)
    _, said = process.communicate(timeout=90)
    assert (process.returncode, said) == (141, b"")


@pytest.mark.acceptance
def test_ctrl_c_ends_a_command_with_130(tmp_path):
    script = (
        "import signal, sys, time; from unittest import mock\n"
        "from jobroom.runner import command_line\n"
        # What a shell starts in the background, tests too, begins deaf to Ctrl-C.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "def wait(argv): print('here', flush=True); time.sleep(50)\n"
        "with mock.patch('django.core.management.execute_from_command_line', wait):\n"
        "    sys.exit(command_line.run(['manage.py', 'jobs']))\n"
    )
    process = _start(["-c", script], tmp_path, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"here\n"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=90)
    assert (process.returncode, said) == (130, b"")

"""The stack of a job: the lines that `faulthandler` writes, made readable."""

import faulthandler
import itertools
import tempfile

import pytest

from jobroom.celery import stacks


def written() -> str:
    with tempfile.TemporaryFile() as file:
        faulthandler.dump_traceback(file)
        file.seek(0)
        return file.read().decode()


def test_the_call_that_was_made_last_is_at_the_end_with_its_line_of_code():
    text = stacks.with_source(written())
    lines = text.splitlines()
    at = max(number for number, line in enumerate(lines) if "in written" in line)
    assert "faulthandler.dump_traceback(file)" in lines[at + 1]
    assert "most recent call last" in text


def test_of_a_job_only_its_own_calls_are_shown():
    text = (
        "Current thread 0x1 (most recent call first):\n"
        '  File "/x/tasks.py", line 3 in inner\n'
        '  File "/x/tasks.py", line 1 in run\n'
        '  File "/y/celery/app/trace.py", line 5 in trace_task\n'
        '  File "/y/click.py", line 5 in main'
    )
    lines = stacks.with_source(text).splitlines()
    assert [line.strip() for line in lines[1:]] == [
        "… the calls of the worker itself",
        'File "/x/tasks.py", line 1 in run',
        'File "/x/tasks.py", line 3 in inner',
    ]


def test_a_job_that_does_not_run_here_has_none():
    with pytest.raises(stacks.NotRunning, match="does not run"):
        stacks.of_job("nowhere")


def test_a_stack_is_whole_with_the_jobs_own_calls_however_slowly_it_is_written(monkeypatch):
    """The thread of the job is written last, and a busy machine may stop between two lines."""
    monkeypatch.setattr(stacks, "PATIENCE", 60.0)
    monkeypatch.setattr(stacks, "STILL", 60.0)
    head = 'Thread 0x2 (most recent call first):\n  File "/x/beat.py", line 3 in run\n\nCurrent thread 0x1 (most recent call first):\n'
    own = '  File "/x/tasks.py", line 3 in inner\n'
    begins, ends = '  File "/y/celery/app/trace.py", li', "ne 5 in trace_task\n"
    with tempfile.TemporaryFile() as file:
        pieces = iter([head, own, begins, ends])

        def write(seconds):
            """Write the next piece each time that it is waited for."""
            for piece in itertools.islice(pieces, 1):
                file.write(piece.encode())
                file.flush()

        monkeypatch.setattr(stacks.time, "sleep", write)
        assert stacks._written(file) == head + own + begins + ends

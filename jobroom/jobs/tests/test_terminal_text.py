"""What a task says of itself does nothing to the terminal that shows it."""

import json

from jobroom.jobs import terminal
from jobroom.jobs.models import Job, State

NASTY = "a\n2026-01-01 INFO forged\r\x1b[2J\x9b31m\u202egnp.exe\u2028b\x85c"


def test_what_a_terminal_is_shown_of_a_job_does_nothing_to_it(db):
    job = Job.objects.create(id="j", task="t", state=State.FAILED, source="api", error=NASTY)
    assert all(text.isprintable() for text in terminal.lines_of(job))


def test_json_for_a_terminal_is_still_json(capsys):
    terminal.write_json({"a": "\x9b31m\u202e\x1b"})
    out = capsys.readouterr().out
    assert json.loads(out) == {"a": "\x9b31m\u202e\x1b"}
    assert "\x9b" not in out

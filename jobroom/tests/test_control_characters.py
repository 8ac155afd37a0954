"""No text from a stranger forges a log line, or speaks to a terminal."""

import io
import logging
import logging.config
import sys

import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import strategies as st

from jobroom.arguments import redaction
from jobroom.arguments.redaction import HIDDEN
from jobroom.control_characters import escaped
from jobroom.logs import LineFormatter
from jobroom.runner.console import Console

NASTY = "a\n2026-01-01 INFO forged\r\x1b[2J\x9b31m\u202egnp.exe\u2028b\x85c\x00\ud800"


def line(message, *args, error=None):
    info = None
    if error is not None:
        try:
            raise error
        except type(error):
            info = sys.exc_info()
    record = logging.LogRecord("x", logging.INFO, __file__, 1, message, args, info)
    record.job = ""
    return LineFormatter("%(levelname)s %(name)s%(job)s %(message)s").format(record)


def test_a_message_is_one_line_and_readable():
    assert line("it says %s", NASTY) == (
        r"INFO x it says a\n2026-01-01 INFO forged\r\x1b[2J\u009b31m\u202egnp.exe\u2028b\u0085c\x00\ud800"
    )


def test_the_lines_of_a_traceback_cannot_be_taken_for_records():
    first, *rest = line("failed", error=ValueError(NASTY)).split("\n")
    assert first == "INFO x failed"
    assert len(rest) > 3
    assert all(text.startswith("    ") and text.isprintable() for text in rest)
    assert any("forged" in text for text in rest)


@given(st.text())
def test_nothing_that_controls_is_left(text):
    shown = escaped(text)
    assert "\n" not in shown
    assert "\x1b" not in shown
    assert shown.encode().decode() == shown
    assert escaped(shown) == shown


@pytest.mark.parametrize("text", ["plain", "tab\tkept", "déjà vu", "日本語", "👍"])
def test_ordinary_text_stays_as_it_is(text):
    assert escaped(text) == text


def test_the_supervisor_relays_one_line_as_one_line():
    out = io.StringIO()
    Console(out, colour=False).say("x\x1b[2J\rdone\x85forged\u2028too", "default")
    assert out.getvalue() == "default  | x\\x1b[2J\\rdone\\u0085forged\\u2028too\n"


def test_every_handler_of_ours_has_the_formatter():
    handlers = settings.LOGGING["handlers"].values()
    assert {settings.LOGGING["formatters"][handler["formatter"]]["()"] for handler in handlers} == {
        "jobroom.logs.LineFormatter"
    }


def test_the_web_server_logs_through_it_too():
    """Its own handlers are there before Django is set up."""
    logger = logging.getLogger("uvicorn")
    logger.addHandler(logging.NullHandler())
    before = (list(logging.root.handlers), logging.root.level)
    try:
        logging.config.dictConfig(settings.LOGGING)
        assert logger.handlers == []
        assert logger.propagate
    finally:
        logging.root.handlers[:], logging.root.level = before


def test_the_secrets_of_running_jobs_are_hidden_in_every_line():
    def run(password):
        """Stand for a task."""

    redaction.begin("j1", run, [], {"password": "hunter2 & co"})
    try:
        assert line("got %r", "hunter2 & co") == f"INFO x got '{HIDDEN}'"
        assert "hunter2" not in line("failed", error=ValueError("no hunter2 & co"))
    finally:
        redaction.end("j1")
    assert "hunter2" in line("got %s", "hunter2 & co")


def test_what_the_history_says_of_each_job_is_no_line_of_the_log():
    for name in ("celery.worker.strategy", "celery.app.trace"):
        assert settings.LOGGING["loggers"][name]["level"] == "WARNING"

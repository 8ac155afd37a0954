"""Log records carry the id of the job that wrote them, no secret of it, and no line break that forges another line."""

import logging

from jobroom import safe_text, truncation
from jobroom.arguments.redaction import hide_in_text, running
from jobroom.conf import settings
from jobroom.control_characters import escaped
from jobroom.current_task import get_current_task


class JobFilter(logging.Filter):
    """Add `job` to each record: ` [<id>]` inside a job, else nothing."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass."""
        record.job = f" [{job}]" if (job := _job()) else ""
        return True


def _job() -> str | None:
    try:
        task = get_current_task()
    except RuntimeError:
        return None  # a process that ends has no current greenlet any more, and some libraries still log
    return getattr(getattr(task, "request", None), "id", None)


class LineFormatter(logging.Formatter):
    """Write a record as one line, and its traceback as lines that begin with blanks, as no record does.

    The secrets of the jobs that run here are hidden, no matter who logs: we, Celery, a library, a thread of the job. No line is
    without bound, and there is one whatever the arguments of a record do when they are asked for a text.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a record, with head and tail of what is too long."""
        record.message = _message(record)
        if self.usesTime():
            record.asctime = self.formatTime(record, self.datefmt)
        secrets = running()
        lines = [hide_in_text(self.formatMessage(record), secrets)]
        if record.exc_info:
            lines += self._below(self.formatException(record.exc_info), secrets)
        if record.stack_info:
            lines += self._below(self.formatStack(record.stack_info), secrets)
        return truncation.shorten("\n".join(map(escaped, lines)), settings.OUTPUT_LINE_LIMIT)

    @staticmethod
    def _below(text: str, secrets: frozenset[str]) -> list[str]:
        return [f"    {line}" for line in hide_in_text(text, secrets).split("\n")]


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as error:  # noqa: BLE001 — the boundary: arguments of log lines are foreign code
        return f"{safe_text.text_of(record.msg)} (it cannot be written: {safe_text.error_text(error)})"


class ProbeFilter(logging.Filter):
    """Drop the site's error line for a probe that answers "not yet": the caller has the answer."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass but a 503 of /readyz."""
        path = getattr(getattr(record, "request", None), "path", "")
        return not (path == "/readyz" and getattr(record, "status_code", 0) == 503)

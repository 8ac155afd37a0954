"""Progress and log lines of a running job, throttled; an error in them never fails the job."""

import os
import time
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from jobroom import events, locks, safe_text, truncation
from jobroom.conf import settings
from jobroom.events import attachments
from jobroom.events.cancellation import JobCancelled
from jobroom.exceptions import LockLost

T = TypeVar("T")

# Characters of what a log line is about, which is a column.
OBJECT_LIMIT = 255


_PAGE = os.sysconf("SC_PAGE_SIZE")
_MEMORY = Path("/proc/self/statm")


def memory() -> int | None:
    """Return the bytes that this process has in memory; None where the system does not say."""
    try:
        return int(_MEMORY.read_bytes().split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):
        return None


class Reporter:
    """Sends the progress of one execution: the first and the last state always, others at most every 0.2 s."""

    __slots__ = ("base", "due", "execution", "job", "last", "lock_lost", "pending", "span", "stage", "stages")

    def __init__(self, job: str, execution: Any) -> None:
        self.job = job
        self.execution = execution
        self.due = 0.0
        self.last: dict[str, Any] | None = None
        self.pending: tuple[float, float | None, str] | None = None  # current, total and message that were held back
        self.lock_lost = ""
        self.stage = ""
        self.base = 0.0  # share of the whole that earlier stages have done, 0 to 1
        self.span = 1.0  # share of the whole that this stage is
        self.stages = 0.0  # weight of all stages so far

    def report(self, current: float, total: float | None, message: str) -> None:
        """Note the state; send it if it is the last one or enough time has passed."""
        now = time.monotonic()
        final = total is not None and current >= total
        if now < self.due and not (final and self._state(current, total, message) != self.last):
            self.pending = (current, total, message)  # most calls end here
            return
        self.send(self._state(current, total, message), now)

    def _state(self, current: float, total: float | None, message: str) -> dict[str, Any]:
        text = truncation.shorten(safe_text.text_of(message), settings.PROGRESS_MESSAGE_LIMIT)
        return {"current": current, "total": total, "message": text, "stage": self.stage}

    def send(self, state: dict[str, Any], now: float) -> None:
        """Send the state with the share of the whole work that is done."""
        self.due = now + settings.PROGRESS_INTERVAL
        self.pending = None
        # Also what was said before is sent again: the answer says whether the job should stop.
        self.last = state
        total = state["total"]
        part = min(1.0, max(0.0, state["current"] / total)) if total else None
        fraction = self.base + self.span * part if part is not None else (self.base or None)
        data = {"execution": self.execution.id, "fraction": fraction, "memory": memory(), **state}
        _, asked = events.write("progress", self.job, data)
        if asked:
            self.execution.cancelled = asked
        for lock in locks.lost(self.job):
            self.lock_lost = lock.name

    def flush(self) -> None:
        """Send what the throttle held back."""
        if self.pending is not None and (state := self._state(*self.pending)) != self.last:
            self.send(state, time.monotonic())
        self.pending = None


class ProgressMixin:
    """`progress`, `track`, `stage` and `log` for tasks; outside a job they do nothing."""

    request: Any

    def _reporter(self) -> Reporter | None:
        execution = getattr(self.request, "execution", None)
        return None if execution is None else execution.progress or self._new_reporter(execution)

    def _new_reporter(self, execution: Any) -> Reporter:
        execution.progress = Reporter(self.request.id, execution)
        return execution.progress  # type: ignore[no-any-return]

    def progress(self, current: float, total: float | None = None, message: str = "") -> None:
        """Say that `current` of `total` units are done; `total` None means that is unknown.

        Raises JobCancelled if someone asked for the end of the job, and LockLost if its lock has passed to another.
        """
        execution = getattr(self.request, "execution", None)
        if execution is not None:
            reporter = execution.progress or self._new_reporter(execution)
            reporter.report(current, total, message)
            if execution.cancelled is not None:
                raise JobCancelled(execution.cancelled)
            if reporter.lock_lost:
                raise LockLost(f"The lock {reporter.lock_lost} has passed to someone else.")

    def track(self, rows: Iterable[T], message: str = "", total: int | None = None) -> Iterator[T]:
        """Yield `rows` and report progress; `total` is asked of the rows when they know it."""
        if total is None and isinstance(rows, Sized):
            total = len(rows)
        count = 0
        self.progress(0, total, message)
        for count, row in enumerate(rows, start=1):
            yield row
            self.progress(count, total, message)
        self.progress(count, total or count, message)

    @contextmanager
    def stage(self, name: str, weight: float = 1.0, of: float | None = None) -> Iterator[None]:
        """Report under the heading `name` while inside; it is `weight` parts `of` the whole (both any unit)."""
        reporter = self._reporter()
        if reporter is None:
            yield
            return
        reporter.flush()
        outer = (reporter.stage, reporter.base, reporter.span)
        reporter.stage = truncation.shorten(safe_text.text_of(name), settings.PROGRESS_MESSAGE_LIMIT)
        if of:
            reporter.base, reporter.span = reporter.stages / of, weight / of
        reporter.due = 0.0
        reporter.report(0, None, "")
        try:
            yield
        finally:
            reporter.flush()
            reporter.stages += weight
            reporter.stage, reporter.base, reporter.span = outer
            if of:
                reporter.base = min(1.0, reporter.stages / of)

    def log(self, level: str, message: str, obj: str | None = None) -> None:
        """Add a line to the job's log: level debug, info, warning or error; `obj` names what it is about."""
        request = self.request
        execution = getattr(request, "execution", None)
        if execution is not None:
            text, limit = safe_text.text_of(message), settings.LOG_LINE_LIMIT
            if len(text) > limit and attachments.wants_whole(self):
                attachments.attach_text(request.id, execution, "log-line.txt", text)
            named = None if obj is None else truncation.shorten(safe_text.text_of(obj), OBJECT_LIMIT)
            data = {"execution": execution.id, "level": level, "message": truncation.shorten(text, limit), "obj": named}
            _, asked = events.write("log", request.id, data)
            if asked:
                execution.cancelled = asked
            self.check_cancelled()

    def check_cancelled(self) -> None:
        """Raise JobCancelled if someone was seen to ask for the end of this job; progress and log calls do it too."""
        execution = getattr(self.request, "execution", None)
        if execution is not None and execution.cancelled is not None:
            raise JobCancelled(execution.cancelled)

"""The stack trace of a running job, asked from outside: lines of code, and no values of variables.

A pool process writes the stacks of its threads when it gets SIGUSR2, by `faulthandler`: its handler is written in C, asks for no
lock of the interpreter, and so answers also from a process that is stuck in a library. It is registered in the main process, which
pool processes are forked from, with one nameless file that all of them share; only the main process asks, one at a time. In
pools without processes the stacks are read from the interpreter itself, also those of greenlets, which do not run just then.
"""

import faulthandler
import linecache
import logging
import os
import re
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from types import FrameType
from typing import IO, Any

from celery.worker import state

from jobroom.events import green

logger = logging.getLogger(__name__)

SIGNAL = signal.SIGUSR2
# Seconds for which a process is waited for, and after which a dump that does not grow is whole though it does not reach Celery's
# own calls: those of a deep recursion. It is written call by call, and the process may have to wait for a processor between two.
PATIENCE, STILL = 3.0, 1.0
LONGEST = 200_000
# The file from which Celery calls the task.
_IN_CELERY = "/celery/app/trace.py"
_LINE = re.compile(r'^  File "(?P<file>.+)", line (?P<line>\d+) in (?P<name>.+)$')

_file: IO[bytes] | None = None
_turn = threading.Lock()


class NotRunning(Exception):
    """The job does not run here, so it has no stack."""


def prepare(**_: Any) -> None:
    """Let the processes that are forked from this one answer; a signal that the project uses for itself is left to it."""
    global _file  # noqa: PLW0603 — one worker a process
    if _file is not None or signal.getsignal(SIGNAL) is not signal.SIG_DFL:
        return
    _file = tempfile.TemporaryFile()  # noqa: SIM115 — open for as long as the process lives
    faulthandler.register(SIGNAL, file=_file, all_threads=True, chain=False)


def of_job(job: str) -> str:
    """Return the stacks of the process or the threads that run the job; raise NotRunning."""
    request: Any = next((each for each in list(state.active_requests) if each.id == job), None)
    if request is None:
        raise NotRunning("The job does not run in this worker any more.")
    pid = getattr(request, "worker_pid", None)
    if not pid or pid == os.getpid() or green.library():  # there it is the id of a greenlet
        return _of_threads(job)
    return _of_process(int(pid))


def _of_process(pid: int) -> str:
    if _file is None:
        raise NotRunning(
            f"The project uses the signal {SIGNAL.name} for something else, so its processes cannot be asked."
        )
    with _turn:
        _file.seek(0)
        _file.truncate()
        try:
            os.kill(pid, SIGNAL)
        except ProcessLookupError as error:
            raise NotRunning("The process of the job has just ended.") from error
        text = _written(_file)
    if not text:
        raise NotRunning(f"The process {pid} did not answer within {PATIENCE:.0f} s: the system does not let it run.")
    return f"Process {pid}\n\n{with_source(text)}"


def _written(file: IO[bytes]) -> str:
    """Return what a process writes, once it is whole, or once it has not written for a while."""
    end, text, since = time.monotonic() + PATIENCE, b"", time.monotonic()
    while time.monotonic() < end:
        now = os.pread(file.fileno(), LONGEST, 0)
        if len(now) != len(text):
            text, since = now, time.monotonic()
        elif text and time.monotonic() - since > STILL:
            break
        if _IN_CELERY.encode() in text and text.endswith(b"\n"):
            break  # innermost calls come first, and the main thread last: the job's own calls are all there
        time.sleep(0.01)
    return text.decode("utf-8", "replace")


def with_source(text: str) -> str:
    """Return what `faulthandler` wrote with the lines of code, each thread with the call that was made last at its end."""
    threads = []
    for part in re.split(r"\n(?=Thread |Current thread )", text.strip()):
        head, *lines = part.splitlines()
        threads.append("\n".join([head.replace("most recent call first", "most recent call last"), *_calls(lines)]))
    return "\n\n".join(reversed(threads))  # the main thread, which runs the job, is written last


def _calls(lines: list[str]) -> Iterator[str]:
    """Yield the calls of one thread, the last one at the end; of a job only what it has called itself."""
    own = next((at for at, line in enumerate(lines) if _IN_CELERY in line), None)
    if own:
        yield "  … the calls of the worker itself"
    yield from map(_line, reversed(lines[:own] if own else lines))


def _line(text: str) -> str:
    found = _LINE.match(text)
    if found is None:
        return text
    source = linecache.getline(found["file"], int(found["line"])).strip()
    return f"{text}\n    {source}" if source else text


def _of_threads(job: str) -> str:
    found = [
        (name, frame)
        for name, frame in _frames()
        if any(f.f_locals.get("uuid") == job for f in _callers(frame) if _traces(f))
    ]
    if not found:
        raise NotRunning("The thread of the job has just ended, or its pool does not let it be found.")
    return "\n\n".join(f"{name}\n{''.join(traceback.format_stack(frame))}" for name, frame in found)


def _frames() -> list[tuple[str, FrameType]]:
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    running = [(f"Thread {names.get(ident) or ident}", frame) for ident, frame in sys._current_frames().items()]
    return [*running, *((name.capitalize(), frame) for name, frame in green.frames())]


def _traces(frame: FrameType) -> bool:
    """Return whether it is Celery's function that runs a task, which knows the id of the job."""
    return frame.f_code.co_name == "trace_task" and frame.f_code.co_filename.endswith("trace.py")


def _callers(frame: FrameType | None) -> list[FrameType]:
    found = []
    while frame is not None:
        found.append(frame)
        frame = frame.f_back
    return found

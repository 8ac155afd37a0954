"""Helpers for tests, our own and those of apps built on us."""

import contextlib
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
# Seconds between two questions of `wait_until`.
SHORTEST_PAUSE = 0.02
LONGEST_PAUSE = 0.25


def patience() -> float:
    """Return how many times longer than on an idle machine to wait before giving up: by the processes that want each processor, at most 5."""
    try:
        wanted = os.getloadavg()[0] / (os.cpu_count() or 1)
    except OSError:  # a system that does not say
        wanted = 1.0
    return min(5.0, max(1.0, wanted))


def wait_until(condition: Callable[[], T], seconds: float = 60.0, what: str = "") -> T:
    """Return the first truthy answer of `condition`; fail after `seconds`, later on a busy machine. Tests wait for facts, not for time.

    The pauses grow with what a question costs and with how long it was waited: who waits leaves the processor to what is waited for.
    """
    begun = time.monotonic()
    while True:
        asked = time.thread_time()
        answer = condition()
        if answer:
            return answer
        waited = time.monotonic() - begun
        if waited > seconds * patience():
            raise AssertionError(f"not within {waited:.0f} s: {what or condition}")
        time.sleep(min(LONGEST_PAUSE, max(SHORTEST_PAUSE, 15 * (time.thread_time() - asked), waited / 20)))


@contextlib.contextmanager
def refusing_port() -> Iterator[int]:
    """Give a port of this machine that refuses connections: no one listens at it, and no one else gets it meanwhile."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield int(bound.getsockname()[1])


def write_whole(path: Path, text: str) -> None:
    """Write `text` to `path` so that another process which polls for the file never reads a part of it."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.write_text(text)
    unfinished.replace(path)


def dying_with_us(argv: list[str], signal: str) -> list[str]:
    """Return the command line that sends the program `signal` when this process is killed; where Linux can do that."""
    setpriv = shutil.which("setpriv")  # its whole path: the program may get another PATH
    return [setpriv, "--pdeathsig", signal, "--", *argv] if setpriv else argv

"""Helpers for tests, our own and those of apps built on us."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def wait_until(condition: Callable[[], T], seconds: float = 30.0, what: str = "") -> T:
    """Return the first truthy answer of `condition`; fail after `seconds`. Tests wait for facts, not for time."""
    end = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what or condition}")
        time.sleep(0.02)


def write_whole(path: Path, text: str) -> None:
    """Write `text` to `path` so that another process which polls for the file never reads a part of it."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.write_text(text)
    unfinished.replace(path)


def dying_with_us(argv: list[str], signal: str) -> list[str]:
    """Return the command line that sends the program `signal` when this process is killed; where Linux can do that."""
    setpriv = shutil.which("setpriv")  # its whole path: the program may get another PATH
    return [setpriv, "--pdeathsig", signal, "--", *argv] if setpriv else argv

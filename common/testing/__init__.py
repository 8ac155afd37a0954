"""Helpers for tests, our own and those of apps built on us."""

import shutil
import time
from collections.abc import Callable
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


def dying_with_us(argv: list[str], signal: str) -> list[str]:
    """Return the command line that sends the program `signal` when this process is killed; where Linux can do that."""
    return ["setpriv", "--pdeathsig", signal, "--", *argv] if shutil.which("setpriv") else argv

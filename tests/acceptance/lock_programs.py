"""Programs that the tests of the locks start as processes: `python -m tests.acceptance.lock_programs NAME ARGUMENTS`."""

import ctypes
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import django

django.setup()

from jobroom.exceptions import LockLost  # noqa: E402 — needs the apps
from jobroom.locks import ExclusiveLock  # noqa: E402
from jobroom.locks.renewal import keeping  # noqa: E402


def say(**facts: Any) -> None:
    """Report something to the test: one line of JSON."""
    os.write(1, (json.dumps(facts) + "\n").encode())


def compute(seconds: float) -> float:
    """Keep the interpreter in one C call that never lets go of it for `seconds`, as a computation would.

    Functions of a `PyDLL` are called with the interpreter's lock held: no other thread of this process runs meanwhile.
    """
    began = time.monotonic()
    ctypes.PyDLL(None).poll(None, 0, int(seconds * 1000))
    return time.monotonic() - began


def hold(name: str, ttl: str) -> None:
    """Hold a lock and do what each line of the input says."""
    lock = ExclusiveLock(name, ttl=float(ttl), job=f"job of {name}")
    if not lock.acquire():
        say(taken=False)
        return
    say(taken=True, fencing=lock.fencing, keeper=keeping().child.process.pid)  # type: ignore[union-attr]
    for line in sys.stdin:
        order, _, argument = line.strip().partition(" ")
        say(**dict(_obey(lock, order, argument)))


def _obey(lock: ExclusiveLock, order: str, argument: str) -> Iterator[tuple[str, Any]]:
    if order == "compute":
        yield "computed", compute(float(argument))
    elif order == "release":
        yield "released", lock.release()
    elif order == "check":
        try:
            lock.check()
        except LockLost as error:
            yield "lost", str(error)
        else:
            yield "held", lock.fencing


class Alone:
    """A fact that shows an overlap whatever the locks say: a file that can be made only once at a time."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "alone"
        self.log = folder / "log"

    def __enter__(self) -> None:
        os.close(os.open(self.file, os.O_CREAT | os.O_EXCL))

    def __exit__(self, *error: object) -> None:
        self.file.unlink()

    def note(self, fencing: int) -> None:
        """Write the fencing number of a turn; appends of this size are atomic."""
        with self.log.open("a") as file:
            file.write(f"{fencing}\n")


def race(name: str, folder: str, processes: str, rounds: str, turns: str) -> None:
    """Fork the processes once. In each round all try at the same time; then each waits for a few turns of its own."""
    barrier = multiprocessing.get_context("fork").Barrier(int(processes))
    alone = Alone(Path(folder))
    children = []
    for _ in range(int(processes)):
        child = os.fork()
        if child == 0:
            os._exit(_racer(name, alone, barrier, int(rounds), int(turns)))
        children.append(child)
    say(failed=sum(os.waitpid(child, 0)[1] != 0 for child in children))


def _racer(name: str, alone: Alone, barrier: Any, rounds: int, turns: int) -> int:
    lock = ExclusiveLock(name, ttl=20)
    try:
        for _ in range(rounds):
            _one_round(lock, alone, barrier)
        for _ in range(turns):
            if not lock.acquire(wait=150):
                return 3
            with alone:
                alone.note(lock.fencing)
            if not lock.release():
                return 4
    except BaseException:
        barrier.abort()
        raise
    finally:
        keeping().close()
    return 0


def _one_round(lock: ExclusiveLock, alone: Alone, barrier: Any) -> None:
    barrier.wait()
    if not lock.acquire():
        barrier.wait()
        return
    with alone:
        alone.note(lock.fencing)
        barrier.wait()  # all have tried
    if not lock.release():
        raise AssertionError("the lock was taken away")


if __name__ == "__main__":
    programs: dict[str, Callable[..., None]] = {"hold": hold, "race": race}
    programs[sys.argv[1]](*sys.argv[2:])

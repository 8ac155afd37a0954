"""Sample tasks of workflows: small, and with an effect that can be counted. The app of `Worker(app=…)`."""

import os
import signal
import time
from pathlib import Path
from typing import Any

from celery import group
from celery.exceptions import Ignore

from image.celery import app
from jobroom import redis

__all__ = ["app"]

# How long a node takes that says that it ran.
_SECONDS = float(os.environ.get("CHAOS_NODE_SECONDS", "0"))


def task(name: str, **options: Any) -> Any:
    """Register a task under `flow.<name>`."""
    return app.task(name=f"flow.{name}", **options)


@task("add")
def add(*numbers: int) -> int:
    """Return the sum."""
    return sum(numbers)


@task("mul")
def mul(a: int, b: int) -> int:
    """Return the product."""
    return a * b


@task("total")
def total(numbers: list[int]) -> int:
    """Return the sum of a list."""
    return sum(numbers)


@task("echo")
def echo(*args: Any, **kwargs: Any) -> Any:
    """Return what it was given."""
    return [list(args), kwargs] if kwargs else list(args)


@task("give")
def give(value: Any) -> Any:
    """Return the value."""
    return value


@task("count", acks_late=True)
def count(key: str, *_: Any) -> str:
    """Say in Redis that it ran."""
    time.sleep(_SECONDS / 2)
    redis.client().hincrby("flow:ran", key, 1)
    time.sleep(_SECONDS / 2)
    return key


@task("once")
def once(key: str, *_: Any) -> str:
    """Say in Redis that it ran; may not run twice."""
    # At once: who decides about a lost one asks whether it did it, and a frozen process that has not done it yet still will.
    redis.client().hincrby("flow:ran", key, 1)
    time.sleep(_SECONDS)
    return key


@task("brief")
def brief(key: str) -> str:
    """Say in Redis that it ran, and go on for a moment: of many, some are left however long a test stands still."""
    redis.client().hincrby("flow:ran", key, 1)
    time.sleep(0.1)
    return key


@task("fail")
def fail(*_: Any) -> None:
    """Raise."""
    raise ValueError("as asked")


@task("fail_unless")
def fail_unless(key: str) -> str:
    """Raise unless someone has set the key in Redis."""
    redis.client().hincrby("flow:tried", key, 1)
    if not redis.client().exists(f"flow:ok:{key}"):
        raise ValueError(f"{key} is not set")
    return key


@task("sleep", acks_late=True)
def sleep(seconds: float, value: Any = None) -> Any:
    """Sleep, then return the value."""
    time.sleep(seconds)
    return value


@task("gated", acks_late=True)
def gated(path: str) -> None:
    """Work until the file exists."""
    while not Path(path).exists():
        time.sleep(0.02)


@task("note")
def note(*args: Any) -> None:
    """Remember that it was called, and with what: a handler, an errback."""
    redis.client().rpush("flow:notes", repr(args))


@task("numbers")
def numbers(n: int) -> list[int]:
    """Return the first n numbers."""
    return list(range(n))


@task("replaced", bind=True)
def replaced(self: Any, n: int) -> Any:
    """Give its place to a group of additions."""
    raise self.replace(group(add.s(i, i) for i in range(n)))


@task("replaced_by_one", bind=True)
def replaced_by_one(self: Any, a: int) -> Any:
    """Give its place to one task."""
    raise self.replace(add.s(a, 100))


@task("pid")
def pid(*_: Any) -> int:
    """Return the process."""
    return os.getpid()


@task("report")
def report(a: int) -> dict[str, Any]:
    """Return an object."""
    return {"total": a, "parts": [a, a + 1]}


@task("says", bind=True)
def says(self: Any, state: str, meta: Any) -> None:
    """Store a state of its own, and leave Celery without a word."""
    self.update_state(state=state, meta=meta)
    raise Ignore


@task("dies")
def dies() -> None:
    """End its process as a lack of memory does."""
    os.kill(os.getpid(), signal.SIGKILL)

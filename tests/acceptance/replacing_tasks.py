"""Sample tasks that give their place to others; each leaves a trace, and the parts wait for a gate."""

import time
from typing import Any

import celery
from celery import chain, chord, group

from image.celery import app
from jobroom import redis

__all__ = ["app"]

TRACE, GATE = "replacing:trace", "replacing:gate"


def leave_trace(name: str) -> None:
    """Say that a task began."""
    redis.client().rpush(TRACE, name)


@app.task(name="replacing.part", acks_late=True)
def part(number: int) -> int:
    """Return the number when the gate is open."""
    leave_trace(f"part {number}")
    while not redis.client().exists(GATE):
        time.sleep(0.05)
    return number


@app.task(name="replacing.fail")
def fail(*args: Any) -> None:
    """Raise."""
    raise ValueError("a part fails, as asked")


@app.task(name="replacing.total", acks_late=True)
def total(numbers: list[int]) -> int:
    """Return the sum."""
    leave_trace("total")
    return sum(numbers)


@app.task(name="replacing.twice", acks_late=True)
def twice(number: int) -> int:
    """Return the double."""
    leave_trace("twice")
    return 2 * number


@app.task(name="replacing.counts", bind=True, acks_late=True)
def counts(self: Any, numbers: list[int]) -> Any:
    """Give its place to a chord: a part for each number, then the sum."""
    leave_trace("counts")
    return self.replace(chord([part.s(number) for number in numbers], total.s()))


@app.task(name="replacing.lists", bind=True, acks_late=True)
def lists(self: Any, numbers: list[int]) -> Any:
    """Give its place to a group, whose results Celery gathers with a task of its own."""
    leave_trace("lists")
    return self.replace(group(part.s(number) for number in numbers))


@app.task(name="replacing.fails", bind=True, acks_late=True)
def fails(self: Any, how: str) -> Any:
    """Give its place to what fails before the last of it."""
    leave_trace("fails")
    canvas = chord([part.s(1), fail.s()], total.s()) if how == "chord" else chain(fail.s(), part.s(1), twice.s())
    return self.replace(canvas)


class Theirs(celery.Task):
    """A base that a project has of its own."""


@app.task(name="replacing.plain", bind=True, base=Theirs, acks_late=True)
def plain(self: Any, how: str, number: int) -> Any:
    """Give its place to one task, or to a chain."""
    leave_trace("plain")
    return self.replace(twice.s(number) if how == "one" else chain(part.s(number), twice.s()))

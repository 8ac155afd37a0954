"""Sample tasks for the table of canvases: each leaves a trace under the key of the run that it belongs to."""

import json
import time
from typing import Any

from celery import group

from image.celery import app
from jobroom import redis

__all__ = ["app"]


def trace_key(run: str) -> str:
    """Return the Redis key of the trace of a run."""
    return f"canvas:{run}"


def leave_trace(run: str, name: str, *args: Any) -> None:
    """Say that a task began, and with what."""
    redis.client().rpush(trace_key(run), json.dumps([name, *args], default=str))


@app.task(name="canvas.add")
def add(*numbers: Any, run: str, mark: str = "") -> Any:
    """Return the sum."""
    leave_trace(run, "add", mark, *numbers)
    return sum(numbers)


@app.task(name="canvas.mul")
def mul(a: int, b: int, *, run: str) -> int:
    """Return the product."""
    leave_trace(run, "mul", a, b)
    return a * b


@app.task(name="canvas.total")
def total(numbers: list[Any], more: int = 0, *, run: str) -> Any:
    """Return the sum of a list, of lists too."""
    leave_trace(run, "total", numbers, more)
    return more + sum(sum(number) if isinstance(number, list) else number for number in numbers)


@app.task(name="canvas.echo")
def echo(*args: Any, run: str, **kwargs: Any) -> Any:
    """Return all that it was given."""
    leave_trace(run, "echo", list(args), kwargs)
    return {"args": list(args), "kwargs": kwargs}


@app.task(name="canvas.give")
def give(value: Any = None, *, run: str) -> Any:
    """Return the value."""
    leave_trace(run, "give", value)
    return value


@app.task(name="canvas.slow")
def slow(value: Any, *, run: str) -> Any:
    """Return the value later than others."""
    time.sleep(0.2)
    leave_trace(run, "slow", value)
    return value


@app.task(name="canvas.fail")
def fail(*args: Any, run: str, mark: str = "") -> None:
    """Raise."""
    leave_trace(run, "fail", mark, *args)
    raise ValueError("as asked")


@app.task(name="canvas.linked")
def linked(*args: Any, run: str, mark: str = "") -> None:
    """Leave a trace: a callback."""
    leave_trace(run, "linked", mark, *args)


@app.task(name="canvas.errback")
def errback(request: Any, error: Any, trace: Any, *, run: str, mark: str = "") -> None:
    """Leave a trace: an errback of the new kind, called in the worker of the failed task."""
    leave_trace(run, "errback", mark)


@app.task(name="canvas.old_errback")
def old_errback(task_id: str, *, run: str, mark: str = "") -> None:
    """Leave a trace: an errback of the old kind, sent as a task of its own."""
    leave_trace(run, "old errback", mark)


@app.task(name="canvas.plain_errback")
def plain_errback(*, run: str, mark: str = "") -> None:
    """Leave a trace: an errback that takes nothing."""
    leave_trace(run, "plain errback", mark)


@app.task(name="canvas.options", bind=True)
def options(self: Any, *args: Any, run: str) -> dict[str, Any]:
    """Return with which options it was sent."""
    leave_trace(run, "options", *args)
    request = self.request
    delivery = request.delivery_info or {}
    return {
        "queue": delivery.get("routing_key"),
        "priority": delivery.get("priority"),
        "limits": list(request.timelimit or [None, None]),
        "expires": bool(request.expires),
        "eta": bool(request.eta),
    }


@app.task(name="canvas.same_id", bind=True)
def same_id(self: Any, expected: str, *args: Any, run: str) -> bool:
    """Return whether it runs under the id that it was given before it was sent."""
    leave_trace(run, "same id", *args)
    return bool(self.request.id == expected)


@app.task(name="canvas.replaced", bind=True)
def replaced(self: Any, value: int, kind: str, *, run: str) -> Any:
    """Give its place to something else."""
    leave_trace(run, "replaced", value, kind)
    one, two = add.s(value, 1, run=run), add.s(10, run=run)
    replacement: Any = {
        "task": one,
        "chain": one | two,
        "group": group(add.s(value, i, run=run) for i in range(3)),
        "chord": group(add.s(value, i, run=run) for i in range(3)) | total.s(run=run),
        "failing": fail.s(value, run=run),
    }[kind]
    raise self.replace(replacement)


@app.task(name="canvas.pair")
def pair(args: Any) -> Any:
    """Return the pair the other way round; for map, which passes no more than the item."""
    return [args, args]


@app.task(name="canvas.power")
def power(a: int, b: int) -> int:
    """Return a to the power of b; for starmap and chunks."""
    return int(a**b)

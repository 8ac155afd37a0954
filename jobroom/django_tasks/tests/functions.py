"""Functions of Django's task framework, for the tests here and for their worker (`celery -A` this module)."""

import asyncio
import datetime
import logging
from importlib import import_module
from typing import Any

from django.db import transaction

from image.celery import app
from jobroom.django_tasks.framework import module

__all__ = ["app"]

task = import_module(module()).task
logger = logging.getLogger(__name__)


@task
def anything(*args: Any, **kwargs: Any) -> None:
    """Take any arguments."""


@task(priority=10, queue_name="heavy")
def double(number: int, *, on: datetime.date | None = None) -> int:
    """Double a number.

    On a day that may be given.
    """
    return 2 * number


@task
async def later(number: int) -> list[int]:
    """Wait a moment, as a coroutine."""
    await asyncio.sleep(0)
    return [number, number]


@task
def fails(text: str) -> None:
    """Fail."""
    raise ValueError(text)


@task
def leaves() -> None:
    """End the process, if it is let."""
    raise SystemExit("gone")


@task
def returns_code() -> Any:
    """Return what is no JSON."""
    return lambda: True


@task(takes_context=True)
def about_itself(context: Any, steps: int = 2) -> dict[str, Any]:
    """Say which job it is, and report progress."""
    for step in context.job.track(range(steps), "Stepping"):
        context.job.log("info", f"step {step}")
    result = context.task_result
    return {
        "id": result.id,
        "attempt": context.attempt,
        "status": result.status,
        "enqueued": result.enqueued_at is not None,
        "args": result.args,
        "kwargs": result.kwargs,
    }


@task
def enqueues(number: int) -> str:
    """Enqueue another one when its transaction commits."""
    with transaction.atomic():
        return str(double.using(queue_name="default").enqueue(number).id)

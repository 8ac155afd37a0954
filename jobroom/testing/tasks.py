"""Makes tasks for tests, which no other test finds."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from celery import current_app


@contextmanager
def made_task(run: Callable[..., Any], **options: Any) -> Iterator[Any]:
    """Give a task that runs `run`, with a name of its own unless `name=` is given; afterwards there is none any more."""
    name = options.pop("name", None) or f"test.{secrets.token_hex(6)}"
    current_app.finalize()
    task = current_app._task_from_fun(run, name=name, **options)
    try:
        yield task
    finally:
        current_app.tasks.unregister(name)

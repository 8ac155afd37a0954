"""Makes tasks for tests, which no other test finds."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FunctionType
from typing import Any

from celery import _state, current_app


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


def forget_local_tasks() -> None:
    """Let apps made from now on take no task that was declared inside a function, such as a test.

    Celery keeps each shared task for all apps to come. One of a test that is over would be in them, and two tests that give a
    task the same name would fail in a third one, which makes an app.
    """
    finalizers: set[Callable[..., Any]] = _state._on_app_finalizers  # type: ignore[attr-defined]
    finalizers.difference_update([take for take in finalizers if _is_local(take)])


def unregister_local_tasks() -> None:
    """Take the tasks that were declared inside tests out of the current app: pages of later ones would list them."""
    for name, task in list(current_app.tasks.items()):
        run = getattr(task, "run", None)
        if _is_of_a_test(getattr(run, "__func__", run)) or _is_of_a_test(type(task)):
            current_app.tasks.pop(name, None)


def _is_local(take: Callable[..., Any]) -> bool:
    held = [cell.cell_contents for cell in getattr(take, "__closure__", None) or ()]
    return any(isinstance(one, FunctionType) and _is_of_a_test(one) for one in held)


def _is_of_a_test(made: Any) -> bool:
    module = str(getattr(made, "__module__", ""))
    return "<locals>" in getattr(made, "__qualname__", "") and module.rpartition(".")[2].startswith("test_")

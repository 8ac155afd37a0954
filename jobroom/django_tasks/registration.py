"""A `@task` function becomes a Celery task of the same import path, so forms, workers and history know it as any other."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

from celery import current_app, shared_task

from jobroom.celery.tracked import is_tracked
from jobroom.django_tasks import execution
from jobroom.django_tasks.framework import DEFAULT_TASK_QUEUE_NAME, AnyTask, InvalidTask

# By import path, as the modules declare them. What `using` makes of one is no declaration.
_declared: dict[str, AnyTask] = {}


def register(task: AnyTask) -> None:
    """Make a Celery task of it, unless there is one; of one function the first declaration counts."""
    known = _declared.get(task.module_path)
    if known is not None and known.func is task.func:
        return
    _declared[task.module_path] = task
    if known is None:
        shared_task(**_options(task))(_run_of(task))


def declared(name: str) -> AnyTask | None:
    """Return the `@task` function with this import path; None where no module that was imported declares it."""
    return _declared.get(name)


def celery_task(task: AnyTask) -> Any:
    """Return the Celery task that runs it; raise InvalidTask where its jobs could not be followed."""
    found = current_app.tasks[task.module_path]
    if not getattr(found, "django_task", False):
        raise InvalidTask(f"{task.module_path} is the name of a Celery task already. Rename one of the two.")
    if not is_tracked(found):
        raise InvalidTask(
            f"Jobs of {task.module_path} are not recorded, so they have no results. Take it out of UNTRACKED in JOBROOM."
        )
    return found


def _options(task: AnyTask) -> dict[str, Any]:
    # Celery would check the call where it is sent, which is after the commit: the gate does it before.
    return {"name": task.module_path, "base": _base_of(task), "typing": False, "django_task": True}


def _base_of(task: AnyTask) -> type:
    """Return the base of its Celery task: the project's own, with queue and priority for launches that say none.

    They stand on a base because Celery warns of those of the task itself, where its routes would be as good.
    """
    options = {"priority": priority(task), **({"queue": queue(task)} if queue(task) else {})}
    return type("FunctionTask", (current_app.Task,), {"abstract": True, "__module__": __name__, **options})


def priority(task: AnyTask) -> int:
    """Return the framework's priority, -100 to 100 with the highest first, as ours: 0 (soonest) to 9 (last).

    Zero, what is above and what is below each have levels of their own, also where the broker distinguishes four.
    """
    if task.priority > 0:
        return (100 - task.priority) // 34
    return 3 if task.priority == 0 else 6 + (-task.priority - 1) // 25


def queue(task: AnyTask) -> str:
    """Return the queue that it names; empty for the framework's default, which is where Celery routes the task."""
    return "" if task.queue_name == DEFAULT_TASK_QUEUE_NAME else task.queue_name


def _run_of(task: AnyTask) -> Callable[..., Any]:
    """Return the function that Celery calls, with the signature that callers see."""
    name = task.module_path

    @functools.wraps(task.func)
    def run(*args: Any, **kwargs: Any) -> Any:
        return execution.execute(_declared[name], args, kwargs)

    run.__signature__ = _signature(task)  # type: ignore[attr-defined]
    return run


def _signature(task: AnyTask) -> inspect.Signature:
    """Return the signature of the function, without the context that the worker gives."""
    found = inspect.signature(task.func)
    return found.replace(parameters=list(found.parameters.values())[bool(task.takes_context) :])

"""Imports Django's task framework from `django.tasks`, or from its backport `django_tasks`."""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ImproperlyConfigured

__all__ = [
    "DEFAULT_TASK_QUEUE_NAME",
    "AnyResult",
    "AnyTask",
    "BaseTaskBackend",
    "InvalidTask",
    "Task",
    "TaskContext",
    "TaskError",
    "TaskResult",
    "TaskResultDoesNotExist",
    "TaskResultStatus",
    "module",
    "normalize_json",
    "task_enqueued",
    "task_finished",
    "task_started",
]

# Django's own first: where both are there, the backport works with backends of Django's.
MODULES = ("django.tasks", "django_tasks")
MISSING = (
    "jobroom.backend needs the tasks framework of Django 6.0 (django.tasks), or its backport: "
    "pip install 'django-jobroom[django-tasks]'."
)


def module() -> str:
    """Return the name of the module that has the framework; raise ImproperlyConfigured where there is none."""
    found = next((name for name in MODULES if find_spec(name) is not None), None)
    if found is None:
        raise ImproperlyConfigured(MISSING)
    return found


def _normalize(name: str) -> Any:
    """Return the framework's own function that makes plain JSON of a value, or raises TypeError."""
    return import_module("django.utils.json" if name == "django.tasks" else f"{name}.utils").normalize_json


if TYPE_CHECKING:
    from django.tasks.backends.base import BaseTaskBackend
    from django.tasks.base import (
        DEFAULT_TASK_QUEUE_NAME,
        Task,
        TaskContext,
        TaskError,
        TaskResult,
        TaskResultStatus,
    )
    from django.tasks.exceptions import InvalidTask, TaskResultDoesNotExist
    from django.tasks.signals import task_enqueued, task_finished, task_started

    # Only the stubs say of what these are generic, and each framework says it otherwise.
    AnyTask = Task[Any, Any]
    AnyResult = TaskResult[Any, Any]

    def normalize_json(obj: Any) -> Any:
        """Return the value as plain JSON; raise TypeError where it is none."""
else:
    _name = module()
    _base, _exceptions, _signals = (import_module(f"{_name}.{part}") for part in ("base", "exceptions", "signals"))
    BaseTaskBackend = import_module(f"{_name}.backends.base").BaseTaskBackend
    DEFAULT_TASK_QUEUE_NAME = _base.DEFAULT_TASK_QUEUE_NAME
    Task, TaskContext, TaskError = _base.Task, _base.TaskContext, _base.TaskError
    TaskResult, TaskResultStatus = _base.TaskResult, _base.TaskResultStatus
    AnyTask, AnyResult = Task, TaskResult
    # The backport calls it InvalidTaskError up to 0.12.
    InvalidTask = getattr(_exceptions, "InvalidTask", None) or _exceptions.InvalidTaskError
    TaskResultDoesNotExist = _exceptions.TaskResultDoesNotExist
    task_enqueued, task_finished, task_started = _signals.task_enqueued, _signals.task_finished, _signals.task_started
    normalize_json = _normalize(_name)

"""System checks of the task infrastructure."""

import difflib
from collections.abc import Iterator
from typing import Any

from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, Warning, register

from common import conf
from common.resources.declaring import declared, suggestion


def connect() -> None:
    """Register the checks; twice is the same as once."""
    register(unregistered_tasks)
    register(misspelt_settings)
    register(resources_of_tasks)
    register(unserved_resources)


def _subclasses(cls: type) -> Iterator[type]:
    for sub in cls.__subclasses__():
        yield sub
        yield from _subclasses(sub)


def unregistered_tasks(**kwargs: Any) -> list[CheckMessage]:
    """Name every class-based task that no worker would find, because nobody registered it."""
    from celery import current_app

    from common.tasks import BaseTask

    registered = {cls for task in current_app.tasks.values() for cls in type(task).__mro__}
    return [
        Error(
            f"{cls.__module__}.{cls.__qualname__} is a task that nobody registered, so no worker knows it.",
            hint=f"Add `app.tasks.register({cls.__name__})` below the class, or give it no run() if it is only a base.",
            obj=cls,
            id="common.E001",
        )
        for cls in _subclasses(BaseTask)
        if "run" in vars(cls) and cls not in registered
    ]


def misspelt_settings(**kwargs: Any) -> list[CheckMessage]:
    """Name every setting under one of our prefixes that no app reads."""
    messages: list[CheckMessage] = []
    for options in conf.registry:
        known = options.names()
        for name in dir(django_settings):
            if name.startswith(f"{options.prefix}_") and name not in known:
                close = difflib.get_close_matches(name, known, n=1)
                hint = f"Did you mean {close[0]}?" if close else f"Known: {', '.join(known)}."
                messages.append(Warning(f"{name} is not an option of ours.", hint=hint, id="common.W001"))
    return messages


def resources_of_tasks(**kwargs: Any) -> list[CheckMessage]:
    """Name every resource that a task asks for and cannot have: unknown, on another queue, or hidden by an attribute."""
    from celery import current_app

    return [
        message
        for task in current_app.tasks.values()
        for name in getattr(task, "resources", ())
        for message in _resource_of(task, str(name))
    ]


def _resource_of(task: Any, name: str) -> Iterator[CheckMessage]:
    from common.tasks import BaseTask

    if name not in declared:
        yield Error(
            f"The task {task.name} needs the resource {name}, which nobody has declared.",
            hint=suggestion(name),
            obj=task,
            id="common.E002",
        )
        return
    if name not in task.filled_in and hasattr(BaseTask, name):
        yield Error(
            f"The task {task.name} cannot read the resource {name}: every task has an attribute of that name.",
            hint="Give the resource another name.",
            obj=task,
            id="common.E003",
        )
    queue = _queue_of(task)
    if queue not in declared[name].queues:
        queues = ", ".join(declared[name].queues)
        yield Warning(
            f"The task {task.name} runs on the queue {queue}, whose workers do not load the resource {name} before it.",
            hint=f"Send it to {queues} (CELERY_TASK_ROUTES), or add {queue} to the queues of the resource.",
            obj=task,
            id="common.W002",
        )


def _queue_of(task: Any) -> str:
    queue: Any = task.app.amqp.router.route({}, task.name).get("queue") or getattr(task, "queue", None)
    return str(getattr(queue, "name", queue) or task.app.conf.task_default_queue)


def unserved_resources(**kwargs: Any) -> list[CheckMessage]:
    """Name every resource of which no worker of `QUEUES` serves a queue."""
    return [
        Warning(
            f"No worker serves {' or '.join(made.queues)}, so nobody loads the resource {made.name}.",
            hint="Add the queue to QUEUES (IMAGE_QUEUES), or correct the queues of the resource.",
            id="common.W003",
        )
        for made in declared.values()
        if not set(made.queues) & set(django_settings.QUEUES)
    ]

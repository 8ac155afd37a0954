"""System checks of the task infrastructure."""

import difflib
from collections.abc import Iterator
from typing import Any

from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, Warning, register

from common import conf


def connect() -> None:
    """Register the checks; twice is the same as once."""
    register(unregistered_tasks)
    register(misspelt_settings)


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

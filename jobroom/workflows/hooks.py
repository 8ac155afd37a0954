"""Signals of celery-dyrygent for Python code, sent in the process that advances a workflow."""

import logging
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from jobroom.workflows.exceptions import WorkflowException

logger = logging.getLogger(__name__)

Hook = TypeVar("Hook", bound=Callable[[Any, Any], Any])


class Hooks:
    """Functions `(workflow, payload)` by the name of their signal; one that raises is logged and harms nothing."""

    hooks: ClassVar[dict[str, list[Callable[[Any, Any], Any]]]] = {
        "after_active_tick": [],  # nodes were sent, and the workflow goes on
        "on_finish": [],
        "on_state_change": [],  # payload: the new state
    }

    @classmethod
    def connect(cls, hook_name: str) -> Callable[[Hook], Hook]:
        """Return a decorator that connects a function to a signal."""
        if hook_name not in cls.hooks:
            raise WorkflowException(f"There is no signal “{hook_name}”. There are: {', '.join(sorted(cls.hooks))}.")

        def connect(function: Hook) -> Hook:
            cls.hooks[hook_name].append(function)
            return function

        return connect

    def emit(self, hook_name: str, payload: Any = None) -> None:
        """Call the functions of a signal."""
        for hook in self.hooks[hook_name]:
            try:
                hook(self, payload)
            except Exception:  # the boundary: what someone connected must not stop a workflow
                logger.exception(
                    "The handler %r of %s failed for workflow %s", hook, hook_name, getattr(self, "id", None)
                )

    @classmethod
    def has_receivers(cls, hook_name: str) -> bool:
        """Return whether a signal has a function."""
        return bool(cls.hooks[hook_name])

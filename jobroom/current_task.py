"""The task that runs in this thread, None outside a job."""

from typing import Any

import celery


def _slowly() -> Any:
    """Return the same by Celery's public name, a proxy that asks again at each use."""
    return celery.current_task if celery.current_task else None  # type: ignore[truthy-bool]  # a proxy of None is false


try:
    # A hundred times as fast, and asked for each line of a log.
    from celery._state import get_current_task
except ImportError:
    get_current_task = _slowly

__all__ = ["get_current_task"]

"""Notes the exception that a task raised, where it is raised, and keeps a bad one from harming the worker.

Celery pickles an error on its way to the worker's main process, and hands its hooks a substitute where that fails. Some
errors do worse: MemoryError leaves the job without an end, `sys.exit()` ends the pool process, KeyboardInterrupt stops
the worker with all that it runs. None of this is meant by who writes it in a task: the job fails, and says with what.
"""

from typing import Any

from billiard.common import terminate_handler_fired  # type: ignore[attr-defined] # newer than the stubs
from celery.exceptions import Ignore, Reject, Retry

from jobroom import safe_text
from jobroom.events import green
from jobroom.exceptions import OutOfMemory, TaskEscaped

_CELERYS = (Ignore, Reject, Retry)


def note(request: Any, error: BaseException) -> None:
    """Remember what the task raised, for anyone who reports it."""
    execution = getattr(request, "execution", None)
    if execution is not None and not isinstance(error, _CELERYS):
        execution.error = error


def contain(error: BaseException, limit: float | None = None) -> None:
    """Raise an ordinary error in place of one that would harm the worker; return where it is ordinary, or where the
    process, or the greenlet, was asked to end: perhaps because the job's hard time limit of so many seconds is over.
    """
    if isinstance(error, MemoryError):
        raise OutOfMemory from error
    if isinstance(error, Exception) or terminate_handler_fired() or green.ends_greenlet(error, limit):
        return
    raise TaskEscaped(f"The task raised {safe_text.class_name(error)}: {safe_text.text_of(error)}") from error

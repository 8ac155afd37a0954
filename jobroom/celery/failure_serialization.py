"""Reduces what a pool process reports of a failure to classes that the worker's main process can load.

The main process unpickles it in its own event loop: an error whose module only the pool process has, or whose
`__setstate__` raises, would end it with all that it runs. What is recorded of the error has been taken before.
"""

import functools
from collections.abc import Callable
from typing import Any

from celery.exceptions import Ignore, Reject, Retry

from jobroom import safe_text, truncation
from jobroom.conf import settings
from jobroom.exceptions import TaskEscaped, TaskFailed

Tracer = Callable[..., Any]


def sealed(tracer: Tracer) -> Tracer:
    """Return Celery's tracer of a task with failures that can be passed on."""

    @functools.wraps(tracer)
    def trace(*args: Any, **kwargs: Any) -> Any:
        try:
            answer = tracer(*args, **kwargs)
        except (MemoryError, Reject):
            raise
        except Exception as error:  # noqa: BLE001 — the boundary: a hook of the task raised where Celery expects none
            raise TaskEscaped(_short(error)) from None
        if answer[1] is not None:
            _seal(answer[0])
        return answer

    return trace


def _seal(info: Any) -> None:
    error: Any = getattr(info.exception, "exc", info.exception)
    kind = type(error)  # asked so, because the stubs do not know all that these have
    if issubclass(kind, Retry):
        error.exc = None if error.exc is None else TaskFailed(_short(error.exc))
        safe: BaseException = Retry(error.message, error.exc, error.when, is_eager=error.is_eager)
    elif issubclass(kind, Reject):
        safe = Reject(safe_text.text_of(error.reason), requeue=bool(error.requeue))
    elif issubclass(kind, Ignore):
        safe = Ignore(_short(error))
    else:
        safe = TaskFailed(_short(error))
    info.type, info.exception = type(safe), safe
    info.traceback = truncation.shorten(safe_text.text_of(info.traceback), settings.TRACEBACK_LIMIT)


def _short(error: BaseException) -> str:
    return truncation.shorten(f"{safe_text.error_type(error)}: {safe_text.error_text(error)}", settings.ERROR_LIMIT)

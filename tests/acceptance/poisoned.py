"""The app with one message over which the main process that reads it dies, as a fault in a C library would kill it."""

import os
import signal
from typing import Any

from image.celery import app
from jobroom.celery.redeliveries import Request

__all__ = ["app"]

_read = Request.__init__


def _die(self: Any, message: Any, *args: Any, **kwargs: Any) -> None:
    if message.headers.get("id") == "poison":
        os.kill(os.getpid(), signal.SIGKILL)
    _read(self, message, *args, **kwargs)


Request.__init__ = _die  # type: ignore[method-assign]

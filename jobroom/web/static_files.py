"""Static files from the web process itself, by ServeStatic: an extra of the package, for sites without a server in front."""

import functools
import threading
from collections.abc import Callable
from typing import Any

from asgiref.sync import async_to_sync
from django.conf import settings
from django.http import HttpRequest
from servestatic.middleware import ServeStaticMiddleware


def static_files(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Serve what lies below STATIC_URL; all else passes by, in the thread that it is in.

    ServeStatic's own middleware is for the event loop alone, so every request would change threads for it twice.
    """

    prefix = ServeStaticMiddleware.default_static_prefix(settings)

    def middleware(request: HttpRequest) -> Any:
        if request.path_info.startswith(prefix):
            found = async_to_sync(files())(request)
            if found is not None:
                return found
        return get_response(request)

    # Every file is looked up and opened once, in a fifth of a second: only a process that is asked for one does that.
    lock = threading.Lock()

    @functools.cache
    def opened() -> ServeStaticMiddleware:
        return ServeStaticMiddleware(_nothing)

    def files() -> ServeStaticMiddleware:
        with lock:
            return opened()

    return middleware


async def _nothing(request: HttpRequest) -> None:
    return None

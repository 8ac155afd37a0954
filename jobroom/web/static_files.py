"""Static files from the web process itself, by ServeStatic: an extra of the package, for sites without a server in front."""

import functools
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

from asgiref.sync import async_to_sync
from django.conf import settings
from django.http import FileResponse, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from servestatic.compress import Compressor
from servestatic.middleware import ServeStaticMiddleware

from jobroom.web.compression import LEAST, is_text, takes_gzip

# Bytes of the largest file that is kept compressed, and the number of files: what a process may hold of them.
_LARGEST = 4 << 20
_KEPT = 200


def static_files(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Serve what lies below STATIC_URL; all else passes by, in the thread that it is in.

    ServeStatic's own middleware is for the event loop alone, so every request would change threads for it twice. It gives a
    compressed file where one lies beside the file (`collectstatic` with its storage); else texts are compressed here, once in a process.
    """

    prefix = ServeStaticMiddleware.default_static_prefix(settings)

    def middleware(request: HttpRequest) -> Any:
        if request.path_info.startswith(prefix):
            found = async_to_sync(asked)(request)
            if found is not None:
                return found
        return get_response(request)

    async def asked(request: HttpRequest) -> HttpResponseBase | None:
        _forget_weakness(request)
        found: Any = await files()(request)
        return None if found is None else await _compressed(request, found, kept)

    # Path and ETag, which changes with the file, and its compressed bytes.
    kept: dict[tuple[str, str], bytes] = {}

    # Every file is looked up and opened once, in a fifth of a second: only a process that is asked for one does that.
    lock = threading.Lock()

    @functools.cache
    def opened() -> ServeStaticMiddleware:
        return ServeStaticMiddleware(_nothing)

    def files() -> ServeStaticMiddleware:
        with lock:
            return opened()

    return middleware


def _forget_weakness(request: HttpRequest) -> None:
    """Take W/ from the ETag that the client has: ServeStatic knows its own form alone, and would send the file again."""
    known = request.META.get("HTTP_IF_NONE_MATCH", "")
    if known.startswith("W/"):
        request.META["HTTP_IF_NONE_MATCH"] = known[2:]


async def _compressed(
    request: HttpRequest, found: FileResponse, kept: dict[tuple[str, str], bytes]
) -> HttpResponseBase:
    """Return the answer with a text compressed, for clients that take it; parts and small or huge files as they are.

    The same bytes each time: there is no secret in them, and nothing of what is asked.
    """
    size = int(found.headers.get("Content-Length", 0))
    if found.status_code != 200 or not is_text(found.headers.get("Content-Type", "")) or not LEAST <= size <= _LARGEST:
        return found
    if found.has_header("Content-Encoding"):
        return found
    patch_vary_headers(found, ("Accept-Encoding",))
    if request.method != "GET" or not takes_gzip(request):
        return found
    key = (request.path_info, found.headers.get("ETag", ""))
    body = kept.get(key)
    if body is None:
        pieces = cast("AsyncIterator[bytes]", found.streaming_content)
        body = Compressor.compress_gzip(b"".join([piece async for piece in pieces]))
        if len(kept) < _KEPT:
            kept[key] = body
    found.close()
    del found.headers["Content-Length"]
    answer = HttpResponse(body, headers={**found.headers, "Content-Encoding": "gzip", "Content-Length": str(len(body))})
    if (tag := key[1]).startswith('"'):
        answer.headers["ETag"] = f"W/{tag}"
    return answer


async def _nothing(request: HttpRequest) -> None:
    return None

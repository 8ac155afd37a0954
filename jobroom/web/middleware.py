"""What every answer of the web process carries."""

import functools
import threading
from collections.abc import Callable
from typing import Any

from asgiref.sync import async_to_sync, iscoroutinefunction
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.decorators import sync_and_async_middleware
from servestatic.middleware import ServeStaticMiddleware

from jobroom.limits import TooMany
from jobroom.web.cursors import WrongCursor

# Only files of our own, no inline script or style, no frame around us, forms to ourselves alone.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)


@sync_and_async_middleware
def content_security_policy(
    get_response: Callable[[HttpRequest], Any],
) -> Callable[[HttpRequest], Any]:
    """Send the content security policy with every answer that has none of its own."""

    def told(response: HttpResponse) -> HttpResponse:
        response.headers.setdefault("Content-Security-Policy", POLICY)
        return response

    if iscoroutinefunction(get_response):

        async def waiting(request: HttpRequest) -> HttpResponse:
            return told(await get_response(request))

        return waiting

    def middleware(request: HttpRequest) -> HttpResponse:
        return told(get_response(request))

    return middleware


@sync_and_async_middleware
def storable_addresses(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Take U+0000 out of query strings, and mark its place in addresses: no view asks a database for what none holds."""

    def marked(request: HttpRequest) -> HttpRequest:
        if "\x00" in request.path_info:
            request.path_info = request.path_info.replace("\x00", "\ufffd")
            request.path = request.path.replace("\x00", "\ufffd")
        if "%00" in (query := request.META.get("QUERY_STRING", "")):
            request.META["QUERY_STRING"] = query.replace("%00", "")
        return request

    if iscoroutinefunction(get_response):

        async def waiting(request: HttpRequest) -> Any:
            return await get_response(marked(request))

        return waiting

    def middleware(request: HttpRequest) -> Any:
        return get_response(marked(request))

    return middleware


def refusals(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Answer with a page that helps where a view refused to go on; the API does it itself.

    429 with a sentence and `Retry-After` for TooMany; 400 with the way to the first page for WrongCursor.
    """

    def middleware(request: HttpRequest) -> Any:
        return get_response(request)

    def process_exception(request: HttpRequest, error: Exception) -> HttpResponse | None:
        if isinstance(error, TooMany):
            return too_many(request, error)
        return wrong_cursor(request, error) if isinstance(error, WrongCursor) else None

    middleware.process_exception = process_exception  # type: ignore[attr-defined]
    return middleware


def wrong_methods(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Answer a person who opens the address of a button with a page that helps; the API has sentences of its own."""

    def middleware(request: HttpRequest) -> Any:
        response = get_response(request)
        if response.status_code != 405 or response.content or not request.accepts("text/html"):
            return response
        page = render(request, "405.html", status=405)
        page.headers["Allow"] = response.headers["Allow"]
        return page

    return middleware


def too_many(request: HttpRequest, error: TooMany) -> HttpResponse:
    """Return the page that says what was done too often."""
    return later(render(request, "429.html", {"message": str(error)}), error)


def later(page: HttpResponse, error: Exception | None) -> HttpResponse:
    """Return the page with the status and the header that say when to try again, if the error is TooMany."""
    if isinstance(error, TooMany):
        page.status_code = 429
        page.headers["Retry-After"] = str(error.retry_after)
    return page


def wrong_cursor(request: HttpRequest, error: WrongCursor) -> HttpResponse:
    """Return the page that leads to the first page of the same list, with what else was asked for."""
    rest = request.GET.copy()
    rest.pop(error.name, None)
    return render(request, "400.html", {"message": str(error), "first": f"?{rest.urlencode()}"}, status=400)


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

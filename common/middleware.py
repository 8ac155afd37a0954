"""What every answer of the web process carries."""

from collections.abc import Callable
from typing import Any

from asgiref.sync import async_to_sync, iscoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware
from servestatic.middleware import ServeStaticMiddleware

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


def static_files(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Serve what lies below STATIC_URL; all else passes by, in the thread that it is in.

    ServeStatic's own middleware is for the event loop alone, so every request would change threads for it twice.
    """

    async def nothing(request: HttpRequest) -> None:
        return None

    serve = ServeStaticMiddleware(nothing)

    def middleware(request: HttpRequest) -> Any:
        if request.path_info.startswith(serve.static_prefix):
            found = async_to_sync(serve)(request)
            if found is not None:
                return found
        return get_response(request)

    return middleware

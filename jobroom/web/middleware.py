"""Middleware of a whole site: the content security policy, storable addresses, and pages about refusals."""

from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware

from jobroom.web.error_pages import explained, refused, storable

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

    def with_policy(response: HttpResponse) -> HttpResponse:
        response.headers.setdefault("Content-Security-Policy", POLICY)
        return response

    if iscoroutinefunction(get_response):

        async def waiting(request: HttpRequest) -> HttpResponse:
            return with_policy(await get_response(request))

        return waiting

    def middleware(request: HttpRequest) -> HttpResponse:
        return with_policy(get_response(request))

    return middleware


@sync_and_async_middleware
def storable_addresses(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Take U+0000 out of query strings, and mark its place in addresses: no view asks a database for what none holds."""
    if iscoroutinefunction(get_response):

        async def waiting(request: HttpRequest) -> Any:
            return await get_response(storable(request))

        return waiting

    def middleware(request: HttpRequest) -> Any:
        return get_response(storable(request))

    return middleware


def refusals(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Answer with a page that helps where a view refused to go on; the API does it itself.

    429 with a sentence and `Retry-After` for TooMany; 400 with the way to the first page for WrongCursor; 503 with the remedy
    where a server has no room, or the database does not answer in time.
    """

    def middleware(request: HttpRequest) -> Any:
        return get_response(request)

    middleware.process_exception = refused  # type: ignore[attr-defined]
    return middleware


def wrong_methods(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Answer a person who opens the address of a button with a page that helps; the API has sentences of its own."""

    return lambda request: explained(request, get_response(request))

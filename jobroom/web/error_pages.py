"""Pages about requests that are refused, at each address of Jobroom, whatever middleware the project has."""

import functools
import logging
from collections.abc import Callable, Sequence
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import URLPattern, URLResolver
from rest_framework.views import set_rollback

from jobroom import exhaustion
from jobroom.limits import TooMany
from jobroom.web.cursors import WrongCursor

logger = logging.getLogger(__name__)

Patterns = Sequence[URLPattern | URLResolver]


def with_error_pages(patterns: Patterns) -> None:
    """Let the views of these addresses, and of those below them, answer a refusal with a page that helps."""
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            with_error_pages(pattern.url_patterns)
        elif not hasattr(pattern.callback, "has_error_pages"):
            pattern.callback = guarded(pattern.callback)


def guarded(view: Callable[..., Any]) -> Callable[..., Any]:
    """Return the view with pages about its refusals, and without U+0000 in what it is asked for."""

    @functools.wraps(view)
    def answer(request: HttpRequest, /, *args: Any, **kwargs: Any) -> Any:
        kept = {name: _marked(value) for name, value in kwargs.items()}
        try:
            return explained(request, view(storable(request), *args, **kept))
        except Exception as error:
            if (page := refused(request, error) or forbidden(request, error)) is None:
                raise
            set_rollback()  # the project may have one transaction for each request: Django would have taken it back
            return page

    answer.has_error_pages = True  # type: ignore[attr-defined]
    return answer


def storable(request: HttpRequest) -> HttpRequest:
    """Return the request with an address that a database can hold."""
    request.path_info, request.path = _marked(request.path_info), _marked(request.path)
    if "%00" in (query := request.META.get("QUERY_STRING", "")):
        request.META["QUERY_STRING"] = query.replace("%00", "")
    return request


def _marked(value: Any) -> Any:
    return value.replace("\x00", "\ufffd") if isinstance(value, str) else value


def forbidden(request: HttpRequest, error: Exception) -> HttpResponse | None:
    """Return the page for one who has no right, or asks for what is not there; None for another error.

    While the project is debugged, Django's own page says more of an address that is not there.
    """
    if isinstance(error, PermissionDenied):
        return render(request, "jobroom/errors/403.html", {"exception": str(error)}, status=403)
    if isinstance(error, Http404) and not settings.DEBUG:
        return render(request, "jobroom/errors/404.html", status=404)
    return None


def refused(request: HttpRequest, error: Exception) -> HttpResponse | None:
    """Return the page about an error that is a refusal; None for another error."""
    if isinstance(error, TooMany):
        return too_many(request, error)
    if isinstance(error, WrongCursor):
        return wrong_cursor(request, error)
    return no_room(request, error) or busy_database(request, error)


def explained(request: HttpRequest, response: Any) -> Any:
    """Return the answer; for the address of a button that was opened as a page, one that helps."""
    if response.status_code != 405 or not request.accepts("text/html"):
        return response
    if not getattr(response, "is_rendered", True) or response.content:  # the API's answers are rendered later
        return response
    page = render(request, "jobroom/errors/405.html", status=405)
    page.headers["Allow"] = response.headers["Allow"]
    return page


def too_many(request: HttpRequest, error: TooMany) -> HttpResponse:
    """Return the page that says what was done too often."""
    return later(render(request, "jobroom/errors/429.html", {"message": str(error)}), error)


def no_room(request: HttpRequest, error: Exception) -> HttpResponse | None:
    """Return the page that says which server has no room and what to do about it; None for another error."""
    if not (sentence := exhaustion.sentence(error)):
        return None
    logger.error("A server without room refused %s %s: %s", request.method, request.path, error)
    return render(request, "jobroom/errors/503.html", {"message": sentence}, status=503)


def busy_database(request: HttpRequest, error: Exception) -> HttpResponse | None:
    """Return the page that says that the database did not answer in time; None for another error. It asks the database nothing."""
    if not exhaustion.is_busy(error):
        return None
    logger.error("The database refused %s %s", request.method, request.path, exc_info=error)
    page = HttpResponse(render_to_string("jobroom/errors/busy.html"), status=503)
    page.headers["Retry-After"] = "60"
    return page


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
    return render(
        request, "jobroom/errors/400.html", {"message": str(error), "first": f"?{rest.urlencode()}"}, status=400
    )

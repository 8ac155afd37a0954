"""The view of `/metrics` for Prometheus."""

import hmac

from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from jobroom.queues import metrics
from jobroom.queues.conf import settings
from jobroom.web.staff import staff_only


@require_safe
@never_cache
def metrics_page(request: HttpRequest) -> HttpResponse:
    """Show all numbers to staff, to who has the token, or to everyone if the settings say so."""
    said = request.headers.get("Authorization", "")
    if settings.OPEN or _is_the_token(said):
        return _answer(request)
    if said:
        # A scraper is not sent to a page of a login.
        answer = HttpResponse("The token is not that of METRICS_TOKEN.\n", status=401, content_type="text/plain")
        answer["WWW-Authenticate"] = "Bearer"
        return answer
    return _for_staff(request)


def _is_the_token(said: str) -> bool:
    kind, _, token = said.partition(" ")
    right = kind.lower() == "bearer" and hmac.compare_digest(token.strip().encode(), settings.TOKEN.encode())
    return bool(settings.TOKEN) and right


def _answer(request: HttpRequest) -> HttpResponse:
    body, content_type = metrics.exposition(request.headers.get("Accept", ""))
    return HttpResponse(body, content_type=content_type)


_for_staff = staff_only(_answer)

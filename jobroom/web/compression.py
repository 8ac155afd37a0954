"""Compression of pages, of the API's JSON and of exports, for clients that take gzip.

Django's own `GZipMiddleware` does it, and pads each answer by a random length, so that its size says nothing of the secrets
in it (BREACH). What it would spoil or do in vain is kept from it: see `Compression`.
"""

from functools import partial

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware
from django.utils.cache import patch_vary_headers

from jobroom.web.handler import change_later

# Bytes below which an answer fits into one packet with its headers, so that nothing arrives sooner.
LEAST = 1024

_TEXTS = frozenset(
    {"application/json", "application/javascript", "application/xml", "application/yaml", "image/svg+xml"}
)
_SUFFIXES = ("+json", "+xml", "+yaml")


class Compression(GZipMiddleware):
    """Compresses answers that are text, of at least LEAST bytes.

    It leaves alone parts of files (a range counts bytes of the file itself), streams of events (each has to arrive at once),
    downloads of job files, pictures and archives (they are compressed already, or could be large), and what says itself that it is not
    to be changed. An answer that comes later is compressed when it is there.
    """

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Return the answer, compressed where that helps."""
        if change_later(response, partial(self.process_response, request)) or not _is_worth_it(response):
            return response
        if not takes_gzip(request):
            patch_vary_headers(response, ("Accept-Encoding",))
            return response
        return super().process_response(request, response)


def is_text(content_type: str) -> bool:
    """Return whether content of this type becomes much shorter."""
    kind = content_type.partition(";")[0].strip().lower()
    return (kind.startswith("text/") and kind != "text/event-stream") or kind in _TEXTS or kind.endswith(_SUFFIXES)


def takes_gzip(request: HttpRequest) -> bool:
    """Return whether the client says that it reads gzip; `gzip;q=0` says that it does not (RFC 9110, 12.5.3)."""
    weights = {}
    for part in request.headers.get("Accept-Encoding", "").split(","):
        name, _, parameter = part.partition(";")
        weights[name.strip()] = parameter.replace(" ", "").lower()
    weight = weights.get("gzip", "q=0").removeprefix("q=")
    return weight == "" or weight.strip("0.") != ""


def _is_worth_it(response: HttpResponseBase) -> bool:
    if response.status_code == 206 or not is_text(response.headers.get("Content-Type", "")):
        return False
    if "no-transform" in response.headers.get("Cache-Control", ""):
        return False
    return response.streaming or len(getattr(response, "content", b"")) >= LEAST

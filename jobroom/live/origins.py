"""Which origins may open a socket with our cookie: the site's own, and those that a setting names."""

from typing import Any
from urllib.parse import urljoin, urlsplit

from django.conf import settings as django_settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest

from jobroom import conf
from jobroom.live.conf import settings

_PORTS = {"http": 80, "https": 443}
Origin = tuple[str, str, int | None]


def parse(text: str) -> Origin | None:
    """Return scheme, host and port of an origin such as `https://jobs.example.org`; None for what is none."""
    try:
        found = urlsplit(text.strip())
        port = found.port or _PORTS.get(found.scheme)
    except ValueError:
        return None
    if found.scheme not in _PORTS or not found.hostname or found.path.strip("/") or found.query or found.username:
        return None
    return found.scheme, found.hostname, port


def is_allowed(scope: dict[str, Any]) -> bool:
    """Return whether the page that opens the socket is one of ours; a request that names no page is not."""
    named = [value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"]
    origin = parse(named[0]) if len(named) == 1 else None
    return origin is not None and (origin in _listed() or origin == _own(scope))


def _listed() -> set[Origin | None]:
    listed = settings.ORIGINS or [urljoin(conf.settings.SITE_URL, "/"), *django_settings.CSRF_TRUSTED_ORIGINS]
    return {parse(text) for text in listed} - {None}


def _own(scope: dict[str, Any]) -> Origin | None:
    """Return the origin that the request itself was sent to, as Django sees it: behind a proxy by its headers."""
    if settings.ORIGINS:
        return None
    request = HttpRequest()
    request.META = {
        f"HTTP_{name.decode('latin-1').upper().replace('-', '_')}": value.decode("latin-1")
        for name, value in scope["headers"]
    }
    header = django_settings.SECURE_PROXY_SSL_HEADER
    secure = request.META.get(header[0]) == header[1] if header else scope.get("scheme") in {"wss", "https"}
    try:
        return parse(f"{'https' if secure else 'http'}://{request.get_host()}")
    except DisallowedHost:
        return None

"""System checks of this installation."""

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Warning, register
from django.urls import URLPattern, URLResolver, get_resolver


def connect() -> None:
    """Register the checks; twice is the same as once."""
    register(prefix_of_the_site)


def prefix_of_the_site(**kwargs: Any) -> list[CheckMessage]:
    """Warn of a prefix that is an address of ours too: `/jobs/` could then be the site or its list of jobs."""
    first = (settings.FORCE_SCRIPT_NAME or "").strip("/").partition("/")[0]
    if not first or first not in set(_first_parts(get_resolver(), "")):
        return []
    return [
        Warning(
            f"The prefix {settings.FORCE_SCRIPT_NAME} (the path of SITE_URL) begins as an address of the site does: /{first}/.",
            hint="Let the proxy hand on addresses as they are, with the prefix; or choose another path in SITE_URL.",
            id="image.W001",
        )
    ]


def _first_parts(resolver: URLResolver, before: str) -> Iterator[str]:
    for entry in resolver.url_patterns:
        text = before + str(entry.pattern)
        if "/" in text:
            yield text.partition("/")[0]
        elif isinstance(entry, URLResolver):
            yield from _first_parts(entry, text)
        elif isinstance(entry, URLPattern):
            yield text

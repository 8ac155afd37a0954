"""All addresses of the site, as the URL resolver has them, and a way to fill their places in."""

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RoutePattern

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_PLACE = re.compile(r"<(?:(\w+):)?(\w+)>")


@dataclasses.dataclass(frozen=True)
class Route:
    """One address: its pattern as it stands in the files of the apps, without the slash at the beginning."""

    pattern: str
    name: str  # with its namespaces; empty for some
    view: Any = dataclasses.field(compare=False)

    @property
    def places(self) -> list[str]:
        """The names of what stands in the address."""
        return [name for _, name in _PLACE.findall(self.pattern)]

    @property
    def is_api(self) -> bool:
        """Whether it answers with problems and not with pages."""
        return self.pattern.startswith("api/")

    @property
    def methods(self) -> set[str]:
        """The methods that its view takes, as far as the view says so: of a page, all that could be."""
        kind = getattr(self.view, "cls", None) or getattr(self.view, "view_class", None)
        if kind is None:
            return set(METHODS)
        return {method for method in METHODS if hasattr(kind, method.lower())}

    def filled(self, values: Mapping[str, str]) -> str:
        """Return the address with values in its places; raise KeyError for one that has none."""
        return "/" + _PLACE.sub(lambda place: values[place[2]], self.pattern)


def routes() -> list[Route]:
    """Return every address."""
    return list(_routes(get_resolver(), "", ""))


def _routes(resolver: URLResolver, prefix: str, space: str) -> Iterator[Route]:
    for entry in resolver.url_patterns:
        text = str(entry.pattern) if isinstance(entry.pattern, RoutePattern) else _plain(str(entry.pattern))
        if isinstance(entry, URLResolver):
            inner = f"{space}{entry.namespace}:" if entry.namespace else space
            yield from _routes(entry, prefix + text, inner)
        elif isinstance(entry, URLPattern):
            yield Route(prefix + text, f"{space}{entry.name}" if entry.name else "", entry.callback)


def _plain(expression: str) -> str:
    """Return an address that a regular expression takes, with its named groups as places."""
    return re.sub(r"\(\?P<(\w+)>(?:[^()]|\([^()]*\))*\)", r"<\1>", expression).strip("^$").replace("\\Z", "")

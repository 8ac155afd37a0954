"""Which names of a query string a page looks at: what it looks at none of needs not be asked with each of them."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.handlers.wsgi import WSGIRequest
from django.http import QueryDict

# What takes the whole of a query string may look at any name in it.
WHOLE = ("__iter__", "__len__", "copy", "dict", "items", "keys", "lists", "pop", "urlencode", "values")
ONE = ("__contains__", "__getitem__", "get", "getlist")


@contextlib.contextmanager
def names_read(possible: tuple[str, ...]) -> Iterator[set[str]]:
    """Yield what will hold those of the `possible` names that are looked at in query strings meanwhile."""
    read: set[str] = set()

    def one(method: str) -> Any:
        def noting(query: QueryDict, name: str, *more: Any, **named: Any) -> Any:
            read.update({name} & set(possible))
            return getattr(QueryDict, method)(query, name, *more, **named)

        return noting

    def whole(method: str) -> Any:
        def noting(query: QueryDict, *more: Any, **named: Any) -> Any:
            read.update(possible)
            return getattr(QueryDict, method)(query, *more, **named)

        return noting

    methods = {method: one(method) for method in ONE} | {method: whole(method) for method in WHOLE}
    watched = type("WatchedQuery", (QueryDict,), methods)

    def query_of(request: WSGIRequest) -> QueryDict:
        kept = request.__dict__
        if "_watched" not in kept:
            kept["_watched"] = watched(request.META.get("QUERY_STRING", ""))
        found: QueryDict = kept["_watched"]
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WSGIRequest, "GET", property(query_of))
        yield read

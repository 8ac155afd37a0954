"""Cursors of lists, in the query string: one that no page has given is refused."""

from collections.abc import Mapping
from typing import Any, Generic, NamedTuple, TypeVar

from django.core.exceptions import BadRequest
from django.db.models import Model, QuerySet

Row = TypeVar("Row", bound=Model)

# What every database takes for a whole number.
GREATEST = 2**63 - 1
REMEDY = "Take it from `next` of the page before, as it is."


class WrongCursor(BadRequest):
    """The address begins at a place that no page of the list has given. Begin with the first page."""

    def __init__(self, name: str) -> None:
        super().__init__(type(self).__doc__)
        self.name = name


def number(query: Mapping[str, str], name: str) -> int | None:
    """Return the whole number from 1 on that stands in an address, None for none.

    One that is greater than all there are is none the less a place: the list may have become shorter. Raises WrongCursor.
    """
    text = str(query.get(name, ""))
    if not text:
        return None
    found = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
    if not 0 < found <= GREATEST:
        raise WrongCursor(name)
    return found


class Page(NamedTuple, Generic[Row]):
    """One page of a list that goes by number, the newest first; `parts/older.html` shows its links."""

    rows: list[Row]
    newest_link: str  # the query string of the first page, empty when this is it
    next_link: str  # that of the next page, empty on the last


def newest_first(rows: "QuerySet[Row]", query: Mapping[str, Any], most: int) -> Page[Row]:
    """Return the page of `most` rows that an address asks for by `before`, newest first. Raises WrongCursor."""
    before = number(query, "before")
    found = list((rows if before is None else rows.filter(pk__lt=before)).order_by("-pk")[: most + 1])
    older = f"?before={found[most - 1].pk}" if len(found) > most else ""
    return Page(found[:most], "?" if before else "", older)

"""What all lists share: the query string says what is shown, and every link repeats it."""

from functools import cached_property
from typing import Any, ClassVar, Generic, TypeVar
from urllib.parse import urlencode

from django.db import models

from jobroom.jobs.search import Place, later

Row = TypeVar("Row", bound=models.Model)

# Rows of a page.
PAGE = 50


def clean(query: Any) -> dict[str, str]:
    """Return what an address asks for, without what no text has and no longer than any."""
    # PostgreSQL refuses this one character.
    return {key: value.replace("\x00", "")[:400] for key, value in query.items()}


def written(place: Place) -> str:
    """Return a place as addresses have it; `jobroom.jobs.filters.cursor` reads it."""
    return f"{place.at.isoformat()}~{place.pk}"


def place_of(row: Any, moment: str = "created_at") -> str:
    """Return the place of a row in a list that goes by its column `moment`, as addresses have it."""
    return written(Place(getattr(row, moment), str(row.pk)))


class Listing:
    """What an address asks for, in the attributes that `names` names, and the links to other addresses of the list."""

    names: ClassVar[tuple[str, ...]]
    before: Place | None  # where the page begins; None is the newest

    @property
    def parts(self) -> dict[str, str]:
        """What the address asks for, without the place to begin at."""
        return {name: str(value) for name in self.names if (value := getattr(self, name))}

    @property
    def is_filtered(self) -> bool:
        """Whether the address asks for anything in particular."""
        return bool(self.parts)

    @property
    def newest_link(self) -> str:
        """The query string of the first page, empty when this is it."""
        return self.link() if self.before else ""

    def link(self, **changes: str | None) -> str:
        """Return the query string of this list with changes; None removes a part. Paging starts again."""
        return "?" + urlencode({key: value for key, value in {**self.parts, **changes}.items() if value})

    def link_after(self, place: Place) -> str:
        """Return the query string of the page that begins after a place."""
        return self.link(before=written(place))


class NewestFirst(Listing, Generic[Row]):
    """A list whose rows one query gives, newest first by the column `moment`."""

    moment: ClassVar[str] = "created_at"

    def ordered(self) -> "models.QuerySet[Row]":
        """Return all rows that match, in the order of the list, with the columns that it shows."""
        raise NotImplementedError

    @cached_property
    def _rows(self) -> list[Row]:
        return list(later(self.ordered(), self.before, self.moment)[: PAGE + 1])

    @property
    def rows(self) -> list[Row]:
        """The rows of this page."""
        return self._rows[:PAGE]

    @property
    def is_empty_database(self) -> bool:
        """Whether there is nothing at all that one may see."""
        return not self._rows and not self.is_filtered and self.before is None

    @property
    def next_link(self) -> str:
        """The query string of the next page, empty on the last."""
        if len(self._rows) <= PAGE:
            return ""
        return self.link(before=place_of(self._rows[PAGE - 1], self.moment))

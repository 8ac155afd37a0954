"""Lists of jobs in other orders than that of their creation: by start, by how long they took, by task.

What matches is found along the usual indexes, and sorted here, where it is little. Where it is much, the search goes along the
index of the order in windows, as `jobroom.jobs.search` does along the others, and says where it stopped.
"""

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote

from django.db import connection
from django.db.models import Expression, Q

from jobroom.jobs.models import Job
from jobroom.jobs.querysets import HAS_STARTED, HAS_TAKEN, JobQuerySet, Took
from jobroom.jobs.search import COLUMNS, WINDOW, Search
from jobroom.web.cursors import WrongCursor

# So many that match are sorted here.
SORTED_HERE = 2000
# What the conditions of a search may be about, and what the orders look at.
LOOKED_AT = (*COLUMNS, "started_at", "answer_of")
# The values of the order's keys, and last the id of the job.
SortedPlace = tuple[Any, ...]


@dataclasses.dataclass(frozen=True)
class Sort:
    """An order of the list: its keys from the most to the least, each with whether the greatest comes first."""

    name: str
    words: str
    keys: tuple[tuple[str, bool], ...]
    condition: Q = dataclasses.field(default_factory=Q)

    def place_of(self, row: Mapping[str, Any]) -> SortedPlace:
        """Return the place of a row in this order."""
        return tuple(row[key] for key, _ in self.keys)

    def written(self, place: SortedPlace) -> str:
        """Return a place as addresses have it."""
        return "~".join(
            value.isoformat()
            if isinstance(value, datetime)
            else (repr(value) if isinstance(value, float) else _quoted(value))
            for value in place
        )

    def read(self, query: Mapping[str, str], name: str = "before") -> SortedPlace | None:
        """Return the place after which a page begins, None for the first; raise WrongCursor for what no page has given."""
        text = query.get(name, "")
        if not text:
            return None
        parts = text.split("~")
        if len(parts) != len(self.keys) or not all(parts):
            raise WrongCursor(name)
        try:
            return tuple(_value(key, part) for (key, _), part in zip(self.keys, parts, strict=True))
        except (ValueError, OverflowError) as error:
            raise WrongCursor(name) from error

    def backwards(self) -> "Sort":
        """Return the same order from its other end."""
        name = self.name.removeprefix("-") if self.name.startswith("-") else f"-{self.name}"
        return dataclasses.replace(self, name=name, keys=tuple((key, not down) for key, down in self.keys))


def _quoted(text: str) -> str:
    return quote(text, safe="").replace("~", "%7E")


def _value(key: str, text: str) -> Any:
    if key.endswith("_at"):
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise ValueError("A moment without its zone.")
        return moment.astimezone(UTC)
    if key != "took":
        return unquote(text)
    seconds = float(text)
    if not abs(seconds) < 1e12:
        raise ValueError("No length of a job.")
    return seconds


_FIRST = (
    Sort("created", "oldest first", (("created_at", False), ("id", False))),
    Sort("-started", "last started first", (("started_at", True), ("id", True)), HAS_STARTED),
    Sort("-took", "longest first", (("took", True), ("id", True)), HAS_TAKEN),
    Sort("task", "by task", (("task", False), ("created_at", True), ("id", True))),
)
# Every order but the usual one, the newest first.
SORTS: dict[str, Sort] = {sort.name: sort for one in _FIRST for sort in (one, one.backwards())}
SORTS.pop("-created", None)
# The order that a click on a column's head asks for at first; `created` is that of all lists.
COLUMN_FIRST = {"task": "task", "took": "-took", "started": "-started", "created": ""}


@dataclasses.dataclass(frozen=True)
class FoundSorted:
    """What was found, in order."""

    places: list[SortedPlace]
    upto: SortedPlace | None  # the last place that was looked at; None when that was the end


def look(
    search: Search, sort: Sort, *, most: int, seconds: float, after: SortedPlace | None, all_match: bool = False
) -> FoundSorted:
    """Return the places of at most `most` jobs of a search after a place; no new window is begun after `seconds`.

    With `all_match` every job is known to match, so the first rows of the index are those of the page.
    """
    if all_match:
        return _along_index(search, sort, most, seconds, after, size=most)
    found = search.look(most=SORTED_HERE + 1, seconds=seconds)
    if found.upto is None:
        return _sorted_here([place.pk for place in found.places], sort, most, after)
    return _along_index(search, sort, most, seconds, after)


def _rows_of(sort: Sort) -> JobQuerySet:
    rows = Job.objects.filter(sort.condition)
    return rows.annotate(took=Took()) if sort.keys[0][0] == "took" else rows


def _sorted_here(ids: Sequence[str], sort: Sort, most: int, after: SortedPlace | None) -> FoundSorted:
    rows = _rows_of(sort).filter(pk__in=ids).values(*(key for key, _ in sort.keys))
    places = [sort.place_of(row) for row in rows]
    for at in reversed(range(len(sort.keys))):  # the least key first: Python's sort keeps what is equal in its order
        places.sort(key=lambda place: place[at], reverse=sort.keys[at][1])
    if after is not None:
        places = [place for place in places if _is_after(sort, place, after)]
    return FoundSorted(places[:most], places[most - 1] if len(places) >= most else None)


def _is_after(sort: Sort, place: SortedPlace, other: SortedPlace) -> bool:
    for (_, down), mine, its in zip(sort.keys, place, other, strict=True):
        if mine != its:
            return bool(mine < its) if down else bool(mine > its)
    return False


def _along_index(
    search: Search, sort: Sort, most: int, seconds: float, after: SortedPlace | None, size: int = 0
) -> FoundSorted:
    size = size or WINDOW
    over = time.monotonic() + seconds
    places: list[SortedPlace] = []
    while True:
        window = list(_window(search, sort, after, size))
        for place, matches in window:
            if matches:
                places.append(place)
            if len(places) >= most:
                return FoundSorted(places, place)
        if len(window) < size:
            return FoundSorted(places, None)
        after = window[-1][0]
        if time.monotonic() >= over:
            return FoundSorted(places, after)


def _window(search: Search, sort: Sort, after: SortedPlace | None, left: int) -> Iterator[tuple[SortedPlace, bool]]:
    """Yield the next `left` rows of the order's index, each with whether it matches."""
    for branch in _branches(sort, after):
        count = 0
        for found in _looked_at(search, sort, branch, left):
            count += 1
            yield found
        left -= count
        if not left:
            return


def _branches(sort: Sort, after: SortedPlace | None) -> Iterator[JobQuerySet]:
    """Yield the rows after a place, in pieces that are each one stretch of the index."""
    order = [f"{'-' if down else ''}{key}" for key, down in sort.keys]
    if after is None:
        yield _rows_of(sort).order_by(*order)
        return
    for at in reversed(range(len(sort.keys))):
        same = {key: after[n] for n, (key, _) in enumerate(sort.keys[:at])}
        key, down = sort.keys[at]
        # What is the same in a stretch orders nothing in it, and would make the database sort.
        yield _rows_of(sort).order_by(*order[at:]).filter(**same, **{f"{key}__{'lt' if down else 'gt'}": after[at]})


def _looked_at(search: Search, sort: Sort, rows: JobQuerySet, size: int) -> Iterator[tuple[SortedPlace, bool]]:
    if search.conditions is None:
        return
    where, asked = search.conditions
    names = [key for key, _ in sort.keys]
    columns = list(dict.fromkeys([*LOOKED_AT, *(name for name in names if name != "took")]))
    inner, values = rows.values(*columns, *(["took"] if "took" in names else []))[:size].query.sql_with_params()
    order = ", ".join(f"{key} {'DESC' if down else 'ASC'}" for key, down in sort.keys)
    # The window bears the table's name, as in `jobroom.jobs.search`: its plan is always the index of the order.
    text = (
        f"SELECT {', '.join(names)}, CASE WHEN {where} THEN 1 ELSE 0 END "  # noqa: S608 — names of columns, conditions by Django
        f"FROM ({inner}) AS {Job._meta.db_table} ORDER BY {order}"
    )
    with connection.cursor() as cursor:
        cursor.execute(text, [*asked, *values])
        fetched = cursor.fetchall()
    compiler = Job.objects.all().query.get_compiler(connection=connection)
    known: list[Expression | Any] = [
        Took() if name == "took" else Job._meta.get_field(name).get_col(Job._meta.db_table)  # type: ignore[union-attr]
        for name in names
    ]
    for *place, matches in compiler.apply_converters(fetched, compiler.get_converters(known)):
        yield tuple(place), bool(matches)

"""Orders of lists of jobs other than by creation: by start, by duration, by task.

Where one of the usual indexes leads to few jobs, the database sorts those of them that match. Otherwise the search goes along the
index of the order in windows, filters each, as `jobroom.jobs.search` does along the others, and says where it stopped.
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
from jobroom.jobs.search import COLUMNS, WINDOW, Search, SearchWindow
from jobroom.web.cursors import WrongCursor

# Fewer rows of an index are sorted at once.
SORTED_AT_ONCE = 3000
# What the conditions of a search may be about, and what the orders look at.
LOOKED_AT = (*COLUMNS, "started_at", "answer_of")
_TABLE = Job._meta.db_table
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
    """Return the places of at most `most` jobs of a search after a place; no new window is started after `seconds`.

    With `all_match` every job is known to match, so the first rows of the index are those of the page.
    """
    if search.conditions is None:
        return FoundSorted([], None)
    if not all_match and (window := search.ending_within(SORTED_AT_ONCE)) is not None:
        return _sorted_at_once(search, sort, window, most, after)
    return _along_index(search, sort, most, seconds, after, size=most if all_match else WINDOW)


def _rows_of(sort: Sort) -> JobQuerySet:
    rows = Job.objects.filter(sort.condition)
    return rows.annotate(took=Took()) if sort.keys[0][0] == "took" else rows


def _sorted_at_once(
    search: Search, sort: Sort, window: SearchWindow, most: int, after: SortedPlace | None
) -> FoundSorted:
    """Return the places among all rows of an index that are few: the database sorts those that match."""
    inner, values = window.text, window.values
    if sort.keys[0][0] == "took":
        took, _ = _compiled(Took().resolve_expression(Job.objects.all().query))
        inner = f"SELECT {_TABLE}.*, {took} AS took FROM ({inner}) AS {_TABLE}"  # noqa: S608 — an expression by Django
    # Twice as many, because a job that two conditions of a path lead to is there twice.
    found = _matching(search, sort, inner, values, most=2 * most, after=after)
    places = list(dict.fromkeys(found))
    return FoundSorted(places[:most], places[most - 1] if len(places) >= most else None)


def _along_index(
    search: Search, sort: Sort, most: int, seconds: float, after: SortedPlace | None, size: int
) -> FoundSorted:
    """Return the places along the index of the order, looked through in windows of `size` rows."""
    over = time.monotonic() + seconds
    places: list[SortedPlace] = []
    while True:
        left, last = size, None
        for rows in _branches(sort, after):
            text, values = rows.values(*_columns(sort))[:left].query.sql_with_params()
            places += _matching(search, sort, text, values, most=most - len(places))
            if len(places) >= most:
                return FoundSorted(places, places[-1])
            last = _last(sort, rows, left)
            if last is not None:
                break
            left -= rows.values("pk")[:left].count()
        if last is None or time.monotonic() >= over:
            return FoundSorted(places, last)
        after = last


def _last(sort: Sort, rows: JobQuerySet, number: int) -> SortedPlace | None:
    """Return the place of the row of that number, None where there are fewer.

    The window stands in the statement: of `LIMIT 1 OFFSET 999` alone SQLite, once it has statistics, reads and sorts the whole table.
    """
    names = [key for key, _ in sort.keys]
    inner, values = rows.values(*names)[:number].query.sql_with_params()
    text = f"SELECT {', '.join(names)} FROM ({inner}) AS {_TABLE} ORDER BY {_written_order(sort)} LIMIT 1 OFFSET {number - 1}"  # noqa: S608 — names of columns, statement by Django
    return next(_fetched(sort, text, values), None)


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


def _columns(sort: Sort) -> list[str]:
    """Return the columns of a window of the order's index: what conditions are about, and the keys of the order."""
    return list(dict.fromkeys([*LOOKED_AT, *(key for key, _ in sort.keys)]))


def _matching(
    search: Search, sort: Sort, inner: str, values: Sequence[Any], *, most: int, after: SortedPlace | None = None
) -> Iterator[SortedPlace]:
    """Yield the places of the rows of a statement that match, in the order, at most `most`, of those after a place."""
    where, asked = search.conditions or ("1 = 0", ())
    if after is not None:
        later, places = _compiled(_rows_of(sort).filter(_is_after(sort, after)).query.where)
        where, asked = f"({where}) AND ({later})", [*asked, *places]
    names = [key for key, _ in sort.keys]
    # The window bears the table's name, as in `jobroom.jobs.search`: its plan is always the index of the order.
    text = (
        f"SELECT {', '.join(names)} FROM ({inner}) AS {_TABLE} WHERE {where} "  # noqa: S608 — names of columns, conditions by Django
        f"ORDER BY {_written_order(sort)} LIMIT {most}"
    )
    yield from _fetched(sort, text, [*values, *asked])


def _written_order(sort: Sort) -> str:
    return ", ".join(f"{key} {'DESC' if down else 'ASC'}" for key, down in sort.keys)


def _fetched(sort: Sort, text: str, values: Sequence[Any]) -> Iterator[SortedPlace]:
    """Yield the places that a statement selects, as Django reads their columns."""
    names = [key for key, _ in sort.keys]
    with connection.cursor() as cursor:
        cursor.execute(text, values)
        fetched = cursor.fetchall()
    known: list[Expression | Any] = [
        Took() if name == "took" else Job._meta.get_field(name).get_col(_TABLE)  # type: ignore[union-attr]
        for name in names
    ]
    compiler = Job.objects.all().query.get_compiler(connection=connection)
    for place in compiler.apply_converters(fetched, compiler.get_converters(known)):
        yield tuple(place)


def _is_after(sort: Sort, place: SortedPlace) -> Q:
    """Return the condition for what comes after a place in the order."""
    found = Q()
    for at, (key, down) in enumerate(sort.keys):
        same = {name: place[n] for n, (name, _) in enumerate(sort.keys[:at])}
        found |= Q(**same, **{f"{key}__{'lt' if down else 'gt'}": place[at]})
    return found


def _compiled(part: Any) -> tuple[str, Sequence[Any]]:
    """Return a part of a statement about jobs as Django writes it, with its values."""
    text, values = Job.objects.all().query.get_compiler(connection=connection).compile(part)
    return text, values

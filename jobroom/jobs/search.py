"""Searches jobs, newest first, in bounded pieces of the table.

No index serves every combination of filters, and none a word inside a label: to fill one page with what is rare, a
database would read the whole table. So a search goes along an index in windows of `WINDOW` rows. For each window it
takes the index whose rows reach furthest back, which is the one that leaves out most, and it ends when the page is full,
the database is through, or its time is over. It then says where it stopped, and the next search goes on from there.
"""

import dataclasses
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple, TypeVar, cast

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import EmptyResultSet, FullResultSet
from django.db import connection
from django.db.models import Field, Q, QuerySet

from jobroom.jobs import policies
from jobroom.jobs.models import Job
from jobroom.jobs.querysets import JobQuerySet
from jobroom.users import User

# Rows of an index that are looked at with one statement.
WINDOW = 1000
# What the conditions of most searches are about.
COLUMNS = (
    "id",
    "created_at",
    "finished_at",
    "task",
    "state",
    "queue",
    "schedule",
    "workflow_id",
    "owner_id",
    "tags",
    "label",
    "error",
)
_PLACE = ("id", "created_at")
_ORDER = "ORDER BY created_at DESC, id DESC"
_TABLE = Job._meta.db_table

Rows = TypeVar("Rows", bound="QuerySet[Any, Any]")

# One way to all jobs of a search, and maybe to others: conditions of which each has an index that ends in the order of
# the lists. Together they lead to every job that matches one of them.
Path = Sequence[Q]


class Place(NamedTuple):
    """The place of a job in the order of the lists."""

    at: datetime
    pk: str


@dataclasses.dataclass(frozen=True)
class Found:
    """What a search came upon."""

    places: list[Place]  # of the jobs that match, newest first
    upto: Place | None  # the last place that was looked at; None when that was the end of the database


@dataclasses.dataclass(frozen=True)
class Count:
    """A number of jobs that was counted up to a limit."""

    number: int
    more: bool

    def __str__(self) -> str:
        return f"{self.number:,}{'+' if self.more else ''}"


@dataclasses.dataclass(frozen=True)
class Search:
    """The jobs of `rows`, which any of `paths` leads to; `columns` are those that the conditions of `rows` are about."""

    rows: JobQuerySet
    paths: Sequence[Path]
    columns: Sequence[str] = COLUMNS

    def look(self, *, most: int, seconds: float, after: Place | None = None) -> Found:
        """Return the places of at most `most` jobs after `after`; no new window is started after `seconds`."""
        found: dict[str, Place] = {}
        over = time.monotonic() + seconds
        if self.conditions is None:
            return Found([], None)
        for window in self._windows(after):
            # Twice as many, because a job that two conditions of a path lead to is there twice.
            limit = (most - len(found)) * min(2, len(window.path))
            text, values = self._within(window, "id, created_at", f"{_ORDER} LIMIT {limit}")
            found.update({pk: Place(at, pk) for pk, at in _rows(text, values, _PLACE)})
            places = list(found.values())
            if len(places) >= most:
                return Found(places[:most], places[most - 1])
            if window.last is None or time.monotonic() >= over:
                return Found(places, window.last)
        return Found([], None)

    def tally(self, *, most: int, seconds: float, after: Place | None = None) -> Count:
        """Count the jobs after `after`: at most `most`, and what can be counted in `seconds`."""
        number = 0
        if self.conditions is None:
            return Count(0, more=False)
        over = time.monotonic() + seconds
        for window in self._windows(after):
            text, values = self._within(window, "count(DISTINCT id)", "")
            number += _numbers(text, values)[0][0]
            more = window.last is not None
            if number > most or not more or time.monotonic() >= over:
                return Count(min(number, most), number > most or more)
        return Count(0, more=False)

    def tally_by_state(self, *, seconds: float) -> tuple[dict[str, int], bool]:
        """Count the jobs of each state, as many as can be counted in `seconds`; and say whether there are others."""
        found: dict[str, int] = {}
        if self.conditions is None:
            return found, False
        over = time.monotonic() + seconds
        for window in self._windows(None):
            for state, number in _numbers(*self._within(window, "state, count(DISTINCT id)", "GROUP BY state")):
                found[state] = found.get(state, 0) + number
            if window.last is None:
                return found, False
            if time.monotonic() >= over:
                break
        return found, True

    def by_state(self, *, newest: int) -> tuple[dict[str, int], bool]:
        """Return how many of the `newest` jobs of the first path are in each state, and whether there are others."""
        found = self._by_state(*_union(self.paths[0], None, self.columns, newest))
        return {state: ours for state, ours, _ in found}, sum(every for _, _, every in found) >= newest

    def of_states(self, states: Sequence[str], *, newest: int) -> dict[str, Count]:
        """Count those that match among the `newest` jobs of each of the states."""
        # Each state has an end of its own: a thousand that wait must not hide the one that runs.
        names = _names(self.columns)
        of_one = f"SELECT {names} FROM {_TABLE} WHERE {_TABLE}.state = %s {_ORDER} LIMIT {newest}"  # noqa: S608 — names of columns
        text = " UNION ALL ".join(f"SELECT * FROM ({of_one}) AS ones_{n}" for n in range(len(states)))  # noqa: S608 — as above
        return {state: Count(ours, every >= newest) for state, ours, every in self._by_state(text, states)}

    def _by_state(self, text: str, values: Sequence[Any]) -> list[tuple[str, int, int]]:
        """Return for each state among some rows: how many match, and how many there are."""
        if self.conditions is None:
            return []
        where, asked = self.conditions
        counted = f"state, count(DISTINCT CASE WHEN {where} THEN id END), count(*)"
        return _numbers(f"SELECT {counted} FROM ({text}) AS {_TABLE} GROUP BY state", [*asked, *values])  # noqa: S608 — as above

    @cached_property
    def conditions(self) -> tuple[str, Sequence[Any]] | None:
        """What is asked for as Django writes it, with its values; None when nothing can match."""
        query = self.rows.query
        try:
            where, values = query.get_compiler(connection=connection).compile(query.where)
        except FullResultSet:
            return "1 = 1", ()
        except EmptyResultSet:
            return None
        return where, values

    def ending_within(self, size: int) -> "SearchWindow | None":
        """Return all rows of a path that has fewer than `size`, so that all that match are among them; None when each has more."""
        for path in self.paths:
            window = _window(path, None, size, self.columns)
            if window.last is None:
                return window
        return None

    def _windows(self, after: Place | None) -> Iterator["SearchWindow"]:
        """Yield one window after the other until the database is through."""
        while True:
            window = self._first if after is None else _furthest(self.paths, after, self.columns)
            yield window
            if window.last is None:
                return
            after = window.last

    @cached_property
    def _first(self) -> "SearchWindow":
        return _furthest(self.paths, None, self.columns)  # a page looks through it for its rows, and for their number

    def _within(self, window: "SearchWindow", columns: str, end: str) -> tuple[str, Sequence[Any]]:
        """Return the statement for `columns` of the rows of the window that match, and its values."""
        where, values = self.conditions or ("1 = 0", ())  # None: nothing can match
        # The window bears the table's name, so that the conditions are about its rows. The database cannot move them
        # inside, because the window has an end of its own: its plan is always the index of the path.
        text = f"SELECT {columns} FROM ({window.text}) AS {_TABLE} WHERE {where} {end}"  # noqa: S608 — made by Django
        return text, [*window.values, *values]


def visible_paths(user: User | AnonymousUser, **also: object) -> list[Path]:
    """Return the ways to all jobs that the user may see: none is needed for staff."""
    if user.is_staff or not user.is_authenticated:
        return []
    # Not that there is one, as the partial index says it: SQLite takes that for a range, and sorts all of the owner's jobs.
    own = Q(owner=user.pk, **also)
    return [[own, *(Q(task=task) for task in sorted(policies.tasks_open_to(user, "see")))]]


def newest(path: Path, size: int, columns: Sequence[str]) -> Iterator[Any]:
    """Yield `columns`, among them id and created_at, of the newest jobs of a path; one can be there twice."""
    return _rows(*_union(path, None, columns, size), columns)


class SearchWindow(NamedTuple):
    """A piece of the rows of a path: the statement for them, with its values."""

    path: Path
    text: str
    values: Sequence[Any]
    last: Place | None  # None when the path ends in it


def _furthest(paths: Sequence[Path], after: Place | None, columns: Sequence[str]) -> SearchWindow:
    """Return the window of the path whose next rows reach furthest back."""
    best: SearchWindow | None = None
    for path in paths:
        window = _window(path, after, WINDOW, columns)
        if window.last is None:
            return window
        if best is None or best.last is None or window.last < best.last:
            best = window
    if best is None:
        raise ValueError("A search needs a path.")
    return best


def _window(path: Path, after: Place | None, size: int, columns: Sequence[str]) -> SearchWindow:
    """Return the next `size` rows of a path."""
    branches = _branches(path, after)
    text, values = _joined(branches, columns, size)
    # Of the index alone, and so without reading a row.
    ends, parameters = _joined(branches, _PLACE, size)
    text_of_last = f"SELECT id, created_at FROM ({ends}) AS ends {_ORDER} LIMIT 1 OFFSET {size - 1}"  # noqa: S608 — as above
    last = next(_rows(text_of_last, parameters, _PLACE), None)
    return SearchWindow(path, text, values, Place(last[1], last[0]) if last else None)


def _branches(path: Path, after: Place | None) -> list[tuple[str, Sequence[Any]]]:
    """Return each condition of a path, for the rows after a place, as Django writes it, with its values."""
    found: list[tuple[str, Sequence[Any]]] = []
    for condition in path:
        query = later(Job.objects.filter(condition), after).query
        try:
            found.append(query.get_compiler(connection=connection).compile(query.where))
        except FullResultSet:
            found.append(("1 = 1", ()))
    return found


def _union(path: Path, after: Place | None, columns: Sequence[str], size: int) -> tuple[str, Sequence[Any]]:
    """Return the statement for the newest `size` rows of a path."""
    return _joined(_branches(path, after), columns, size)


def _joined(
    branches: Sequence[tuple[str, Sequence[Any]]], columns: Sequence[str], size: int
) -> tuple[str, Sequence[Any]]:
    """Return the statement for the newest `size` rows of the branches.

    Written by hand, so that both databases merge the branches along their indexes and read no more than is needed:
    PostgreSQL does that for branches with an order and an end of their own, SQLite for those without. And because to
    have Django write it costs more than to ask it.
    """
    names = _names(columns)
    texts = [f"SELECT {names} FROM {_TABLE} WHERE {where}" for where, _ in branches]  # noqa: S608 — conditions by Django, values apart
    if connection.vendor == "postgresql" and len(texts) > 1:
        texts = [f"SELECT * FROM ({text} {_ORDER} LIMIT {size}) AS branch_{n}" for n, text in enumerate(texts)]  # noqa: S608 — as above
    values = [value for _, some in branches for value in some]
    return f"{' UNION ALL '.join(texts)} {_ORDER} LIMIT {size}", values


def _names(columns: Sequence[str]) -> str:
    return ", ".join(f"{_TABLE}.{field.column}" for field in _fields(columns))


def _fields(columns: Sequence[str]) -> "list[Field[Any, Any]]":
    return [cast("Field[Any, Any]", Job._meta.get_field(name)) for name in columns]


def _rows(text: str, values: Sequence[Any], columns: Sequence[str]) -> Iterator[Any]:
    """Yield the rows of a statement whose columns are those fields of a job, as Django understands them."""
    compiler = Job.objects.all().query.get_compiler(connection=connection)
    converters = compiler.get_converters([field.get_col(_TABLE) for field in _fields(columns)])
    with connection.cursor() as cursor:
        cursor.execute(text, values)
        yield from compiler.apply_converters(cursor.fetchall(), converters)


def _numbers(text: str, values: Sequence[Any]) -> list[Any]:
    """Return the rows of a statement that counts."""
    with connection.cursor() as cursor:
        cursor.execute(text, values)
        return list(cursor.fetchall())


def union_all(queries: Sequence[QuerySet[Job, Any]]) -> tuple[str, Sequence[Any]]:
    """Return the statement, and its values, for the rows of several queries that each have an order and an end of their own.

    Written by hand, because Django makes no such union on SQLite.
    """
    texts: list[str] = []
    values: list[Any] = []
    for number, query in enumerate(queries):
        text, parameters = query.query.sql_with_params()
        texts.append(f"SELECT * FROM ({text}) AS of_{number}")  # noqa: S608 — made by Django, values go as parameters
        values.extend(parameters)
    return " UNION ALL ".join(texts), values


def later(rows: Rows, after: Place | None, moment: str = "created_at") -> Rows:
    """Return the rows that come after a place in the order of the lists, which goes by the column `moment`."""
    if after is None:
        return rows
    # The first condition is for the index, the second for rows of the same moment.
    return rows.filter(**{f"{moment}__lte": after.at}).filter(Q(**{f"{moment}__lt": after.at}) | Q(pk__lt=after.pk))

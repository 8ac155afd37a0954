"""Reads and writes many rows at once. The ORM does the same, but works each query out again, makes each row with signals
and defaults, and compiles each value: several times what the database needs for the work (bench/tracked_jobs.py).
"""

import functools
import json
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime, tzinfo
from operator import attrgetter
from typing import Any, TypeVar

from django.db import connection, models
from django.db.models.base import ModelState

Model = TypeVar("Model", bound=models.Model)
# The place of a column among the others, and what makes of its values (never None) what the other side takes.
Changes = list[tuple[int, Callable[[Any], Any]]]

_encode = json.JSONEncoder().encode


# --- making ------------------------------------------------------------------------------------------------------------


def new(model: type[Model], **values: Any) -> Model:
    """Return a new row as `model(**values)` would, without its signals; name columns, so `job_id` and not `job`."""
    constants, factories = _defaults(model)
    row = model.__new__(model)
    state = vars(row)
    state["_state"] = ModelState()
    state.update(constants)
    for name, factory in factories:
        if name not in values:
            state[name] = factory()
    state.update(values)
    return row


@functools.lru_cache(maxsize=16)
def _defaults(model: type[models.Model]) -> tuple[dict[str, Any], list[tuple[str, Callable[[], Any]]]]:
    fields = model._meta.concrete_fields
    made = [field for field in fields if field.has_default() and callable(field.default)]
    constants = {field.attname: field.get_default() for field in fields if field not in made}
    return constants, [(field.attname, field.get_default) for field in made]


# --- reading -----------------------------------------------------------------------------------------------------------


def load(model: type[Model], column: str, keys: Iterable[str], *, lock: bool = False) -> list[Model]:
    """Return the rows whose `column` is one of `keys`, in the order of their primary keys; `lock`: until the transaction ends.

    For `update` they remember what was read: values of JSON columns must be replaced, never changed in place.
    """
    statement, names, changes = _selection(connection.vendor, model, column, lock)
    _, parameter = _among(connection.vendor, list(keys))
    with connection.cursor() as cursor:
        cursor.execute(statement, [parameter])
        return [_loaded(model, names, changes, found) for found in cursor.fetchall()]


def _loaded(model: type[Model], names: list[str], changes: Changes, found: Sequence[Any]) -> Model:
    row = model.__new__(model)
    state = vars(row)
    state["_state"] = stored = ModelState()
    stored.adding, stored.db = False, connection.alias
    values = dict(zip(names, found, strict=True))
    for place, change in changes:
        if found[place] is not None:
            values[names[place]] = change(found[place])
    state.update(values)
    state["_loaded"] = values
    return row


class Before:
    """The columns of a row as `load` has read them, whatever has become of them since."""

    def __init__(self, row: models.Model) -> None:
        self._values: dict[str, Any] = vars(row)["_loaded"]

    def __getattr__(self, name: str) -> Any:
        return self._values[name]


def present(model: type[models.Model], column: str, keys: Iterable[str]) -> set[str]:
    """Return those of `keys` that are in the column of some row."""
    quote = connection.ops.quote_name
    condition, parameter = _among(connection.vendor, list(keys))
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {quote(column)} FROM {quote(model._meta.db_table)} WHERE {quote(column)} {condition}",  # noqa: S608
            [parameter],
        )
        return {found for (found,) in cursor.fetchall()}


def _among(vendor: str, keys: list[str]) -> tuple[str, Any]:
    """Return the condition that a column is one of `keys`, and its parameter."""
    if vendor == "postgresql":
        return "= ANY(%s)", keys
    return "IN (SELECT value FROM json_each(%s))", _encode(keys)


@functools.lru_cache(maxsize=16)
def _selection(vendor: str, model: type[models.Model], column: str, lock: bool) -> tuple[str, list[str], Changes]:
    meta, quote = model._meta, connection.ops.quote_name
    fields = meta.concrete_fields
    columns = ", ".join(quote(str(field.column)) for field in fields)
    condition, _ = _among(vendor, [])
    text = f"SELECT {columns} FROM {quote(meta.db_table)} WHERE {quote(column)} {condition}"  # noqa: S608 — names of ours alone
    text += f" ORDER BY {quote(str(meta.pk.column))}"
    if lock and connection.features.has_select_for_update:
        text += " FOR UPDATE"
    changes = [(place, change) for place, field in enumerate(fields) if (change := _from_database(field)) is not None]
    return text, [field.attname for field in fields], changes


def _from_database(field: "models.Field[Any, Any]") -> Callable[[Any], Any] | None:
    if isinstance(field, models.JSONField):
        return _from_json
    expression = field.get_col(field.model._meta.db_table)
    converters = [*connection.ops.get_db_converters(expression), *field.get_db_converters(connection)]
    if not converters:
        return None

    def change(value: Any) -> Any:
        for convert in converters:
            value = convert(value, expression, connection)
        return value

    return change


def _from_json(text: str) -> Any:
    return [] if text == "[]" else {} if text == "{}" else json.loads(text)


# --- writing -----------------------------------------------------------------------------------------------------------


def insert(
    model: type[models.Model],
    rows: Sequence[models.Model],
    *,
    unique: Sequence[str] = (),
    update: Sequence[str] = (),
) -> None:
    """Insert the rows, all in one statement; on a conflict in the fields `unique` overwrite the fields `update`.

    The rows stay as they are: neither are their ids set nor is any signal sent.
    """
    if not rows:
        return
    statement, names, take, changes = _insertion(connection.vendor, model, tuple(unique), tuple(update))
    values = [_values(row, take, changes) for row in rows]
    with connection.cursor() as cursor:
        if connection.vendor != "postgresql":
            cursor.executemany(statement, values)
        elif unique:
            cursor.execute(statement, [_encode([dict(zip(names, row, strict=True)) for row in values])])
        else:
            _copy(cursor, statement, values)


def update(model: type[models.Model], rows: Sequence[models.Model], keep: Collection[str] = ()) -> None:
    """Write what has changed in rows that `load` returned, in one statement; the columns `keep` stay as they are.

    The columns are those that have changed in any of the rows: each costs time, in every row and on both sides. Rows
    that are gone are not written.
    """
    differences = [_changed(row) - {*keep, model._meta.pk.attname} for row in rows]
    changed = [row for row, names in zip(rows, differences, strict=True) if names]
    if not changed:
        return
    wanted = set().union(*differences)
    names = tuple(field.attname for field in model._meta.concrete_fields if field.attname in wanted)
    statement, columns, take, changes = _updating(connection.vendor, model, names)
    values = [_values(row, take, changes) for row in changed]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(statement, [_encode([dict(zip(columns, row, strict=True)) for row in values])])
        else:
            cursor.executemany(statement, values)


def _changed(row: models.Model) -> set[str]:
    """Return the names of the columns whose values are not those that were read."""
    now = vars(row)
    # To Python 1, 1.0 and True are the same, in JSON they are not; so another value counts as a change.
    return {
        name
        for name, value in now["_loaded"].items()
        if (found := now[name]) is not value and (found != value or name in _json_columns(type(row)))
    }


@functools.lru_cache(maxsize=16)
def _json_columns(model: type[models.Model]) -> frozenset[str]:
    return frozenset(field.attname for field in model._meta.concrete_fields if isinstance(field, models.JSONField))


@functools.lru_cache(maxsize=256)
def _updating(
    vendor: str, model: type[models.Model], names: tuple[str, ...]
) -> tuple[str, list[str], Callable[[Any], tuple[Any, ...]], Changes]:
    """Return the statement that writes those columns, all columns that it takes, and how to get their values."""
    meta, quote = model._meta, connection.ops.quote_name
    fields = [*(field for field in meta.concrete_fields if field.attname in names), meta.pk]
    columns = [str(field.column) for field in fields]
    quoted = [quote(column) for column in columns]
    table, key = quote(meta.db_table), quoted[-1]
    if vendor == "postgresql":
        typed = ", ".join(f"{name} {field.db_type(connection)}" for name, field in zip(quoted, fields, strict=True))
        text = f"UPDATE {table} SET " + ", ".join(f"{name} = changed.{name}" for name in quoted[:-1])  # noqa: S608
        text += f" FROM json_to_recordset(%s) AS changed ({typed}) WHERE {table}.{key} = changed.{key}"
    else:
        text = f"UPDATE {table} SET " + ", ".join(f"{name} = %s" for name in quoted[:-1]) + f" WHERE {key} = %s"  # noqa: S608
    as_json = vendor == "postgresql"
    changes = [(place, change) for place, field in enumerate(fields) if (change := _to_database(field, as_json))]
    return text, columns, attrgetter(*(field.attname for field in fields)), changes


def _copy(cursor: Any, statement: str, values: list[list[Any]]) -> None:
    """Write the rows by PostgreSQL's COPY, which costs a quarter of an INSERT."""
    with connection.wrap_database_errors, cursor.copy(statement) as copy:
        for row in values:
            copy.write_row(row)


def _values(row: models.Model, take: Callable[[Any], tuple[Any, ...]], changes: Changes) -> list[Any]:
    values = list(take(row))
    for place, change in changes:
        if values[place] is not None:
            values[place] = change(values[place])
    return values


@functools.lru_cache(maxsize=16)
def _insertion(
    vendor: str, model: type[models.Model], unique: tuple[str, ...], update: tuple[str, ...]
) -> tuple[str, list[str], Callable[[Any], tuple[Any, ...]], Changes]:
    """Return the statement, the columns, and how to get their values from a row.

    On PostgreSQL rows that may be there already are one JSON text: thousands of placeholders take longer to read than
    the rows to store.
    """
    meta, quote = model._meta, connection.ops.quote_name
    fields = [field for field in meta.concrete_fields if not isinstance(field, models.AutoField | models.BigAutoField)]
    names = {field.name: quote(str(field.column)) for field in fields}
    table, columns = quote(meta.db_table), ", ".join(names.values())
    if vendor != "postgresql":
        text = f"INSERT INTO {table} ({columns}) VALUES ({', '.join(['%s'] * len(fields))})"  # noqa: S608
    elif unique:
        text = f"INSERT INTO {table} ({columns}) SELECT {columns} FROM json_populate_recordset(NULL::{table}, %s)"  # noqa: S608
    else:
        text = f"COPY {table} ({columns}) FROM STDIN"
    if unique:
        keys = ", ".join(names[name] for name in unique)
        text += f" ON CONFLICT ({keys}) DO UPDATE SET " + ", ".join(f"{names[n]} = EXCLUDED.{names[n]}" for n in update)
    as_json = vendor == "postgresql" and bool(unique)
    changes = [(place, change) for place, field in enumerate(fields) if (change := _to_database(field, as_json))]
    return text, [str(field.column) for field in fields], attrgetter(*(field.attname for field in fields)), changes


def _to_database(field: "models.Field[Any, Any]", as_json: bool) -> Callable[[Any], Any] | None:
    """Return what makes of the field's value what the statement takes; None where that is the value itself."""
    if isinstance(field, models.JSONField):
        return None if as_json else _to_json
    if isinstance(field, models.DateTimeField):
        if as_json:
            return datetime.isoformat
        return None if connection.vendor == "postgresql" else _naive(connection.timezone or UTC)
    if field.choices:
        return str  # a choice becomes plain text
    if isinstance(field, models.CharField | models.TextField | models.IntegerField | models.FloatField):
        return None
    if isinstance(field, models.BooleanField | models.ForeignKey):
        return None

    def prepare(value: Any) -> Any:
        return field.get_db_prep_save(value, connection)

    return prepare


def _naive(zone: tzinfo) -> Callable[[datetime], str]:
    """Return what makes of a moment the text that SQLite keeps: without its zone, which is the connection's."""

    def prepare(value: datetime) -> str:
        return str(value.astimezone(zone).replace(tzinfo=None))

    return prepare


def _to_json(value: Any) -> str:
    return "[]" if value == [] else "{}" if value == {} else _encode(value)

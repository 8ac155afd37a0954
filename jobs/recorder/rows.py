"""Writes many rows at once. The ORM's bulk_create does the same, but compiles each value of each row anew, which costs
the recorder three times what the database needs for the writing (bench/tracked_jobs.py).
"""

import functools
import re
from collections.abc import Callable, Sequence
from typing import Any

from django.db import connection, models

# Values of exactly these types every database takes as they are; subclasses, such as choices, are converted.
_PLAIN = frozenset({str, int, float, bool, type(None)})

# A field's name, whether its plain values go as they are, and what makes of others what the database takes.
Column = tuple[str, bool, Callable[[Any], Any]]


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
    statement, columns = _statement(connection.vendor, model, tuple(unique), tuple(update))
    values = [_values(row, columns) for row in rows]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(statement, [list(column) for column in zip(*values, strict=True)])
        else:
            cursor.executemany(statement, values)


def _values(row: models.Model, columns: Sequence[Column]) -> list[Any]:
    found = []
    for name, plain, prepare in columns:
        value = getattr(row, name)
        found.append(value if plain and type(value) in _PLAIN else prepare(value))
    return found


def _column(field: "models.Field[Any, Any]") -> Column:
    def prepare(value: Any) -> Any:
        prepared = field.get_db_prep_save(value, connection)
        return str(prepared) if isinstance(prepared, str) else prepared  # a choice becomes plain text

    # Text is JSON's too, and must be written as such.
    return field.attname, not isinstance(field, models.JSONField), prepare


def _array(field: "models.Field[Any, Any]") -> str:
    """Return the type of an array of the column's values; without a length, to which a cast would cut silently."""
    return re.sub(r"\(\d+\)", "", str(field.db_type(connection))) + "[]"


@functools.lru_cache(maxsize=16)
def _statement(
    vendor: str, model: type[models.Model], unique: tuple[str, ...], update: tuple[str, ...]
) -> tuple[str, list[Column]]:
    """Return the statement and how to get the value of each column.

    On PostgreSQL its parameters are the columns, as arrays: many rows of placeholders take longer to read than to store.
    """
    meta, quote = model._meta, connection.ops.quote_name
    fields = [field for field in meta.concrete_fields if not isinstance(field, models.AutoField | models.BigAutoField)]
    names = {field.name: quote(str(field.column)) for field in fields}
    if vendor == "postgresql":
        arrays = ", ".join(f"%s::{_array(field)}" for field in fields)
        source = f"SELECT * FROM unnest({arrays})"  # noqa: S608 — types of ours alone
    else:
        source = f"VALUES ({', '.join(['%s'] * len(fields))})"
    text = f"INSERT INTO {quote(meta.db_table)} ({', '.join(names.values())}) {source}"
    if unique:
        keys = ", ".join(names[name] for name in unique)
        changes = ", ".join(f"{names[name]} = EXCLUDED.{names[name]}" for name in update)
        text += f" ON CONFLICT ({keys}) DO UPDATE SET {changes}"
    return text, [_column(field) for field in fields]

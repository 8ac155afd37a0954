"""Writes many rows at once. The ORM's bulk_create does the same, but compiles each value of each row anew, which costs
the recorder three times what the database needs for the writing (bench/tracked_jobs.py).
"""

import functools
from collections.abc import Callable, Sequence
from itertools import chain
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
    one = f"({', '.join(['%s'] * len(columns))})"
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(statement.format(rows=", ".join([one] * len(rows))), list(chain.from_iterable(values)))
        else:
            cursor.executemany(statement.format(rows=one), values)


def _values(row: models.Model, columns: Sequence[Column]) -> list[Any]:
    found = []
    for name, plain, prepare in columns:
        value = getattr(row, name)
        found.append(value if plain and type(value) in _PLAIN else prepare(value))
    return found


def _column(field: "models.Field[Any, Any]") -> Column:
    # Text is JSON's too, and must be written as such.
    return (
        field.attname,
        not isinstance(field, models.JSONField),
        lambda value: field.get_db_prep_save(value, connection),
    )


@functools.lru_cache(maxsize=16)
def _statement(
    vendor: str, model: type[models.Model], unique: tuple[str, ...], update: tuple[str, ...]
) -> tuple[str, list[Column]]:
    """Return the statement, with `{rows}` for the placeholders, and how to get the value of each column."""
    meta, quote = model._meta, connection.ops.quote_name
    fields = [field for field in meta.concrete_fields if not isinstance(field, models.AutoField | models.BigAutoField)]
    names = {field.name: quote(str(field.column)) for field in fields}
    text = f"INSERT INTO {quote(meta.db_table)} ({', '.join(names.values())}) VALUES {{rows}}"  # noqa: S608 — names of ours alone
    if unique:
        keys = ", ".join(names[name] for name in unique)
        changes = ", ".join(f"{names[name]} = EXCLUDED.{names[name]}" for name in update)
        text += f" ON CONFLICT ({keys}) DO UPDATE SET {changes}"
    return text, [_column(field) for field in fields]

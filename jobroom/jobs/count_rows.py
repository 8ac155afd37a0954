"""What all tables of counts do alike: numbers are added to their rows, and each person sees those of the jobs that they may see."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from django.contrib.auth.models import AnonymousUser
from django.db import connection
from django.db.models import Model, Q, QuerySet

from jobroom.jobs import policies
from jobroom.users import User

# So many rows are written with one statement.
STEP = 100

Row = TypeVar("Row", bound=Model)
Key = TypeVar("Key", bound=tuple[Any, ...])


def add(model: type[Model], columns: Sequence[str], changes: Mapping[Key, int]) -> None:
    """Add numbers, which may be negative, in as few statements as there are hundreds of keys; a key begins with its moment."""
    # In one order, so that two recorders never wait for each other.
    keys = sorted(key for key, number in changes.items() if number)
    for some in (keys[at : at + STEP] for at in range(0, len(keys), STEP)):
        values: list[Any] = []
        for key in some:
            values += [connection.ops.adapt_datetimefield_value(key[0]), *key[1:], changes[key]]
        with connection.cursor() as cursor:
            cursor.execute(_statement(model._meta.db_table, columns, len(some)), values)


def _statement(table: str, columns: Sequence[str], number: int) -> str:
    places = f"({', '.join(['%s'] * (len(columns) + 1))})"
    names = ", ".join(columns)
    return (
        f"INSERT INTO {table} ({names}, number) VALUES {', '.join([places] * number)} "  # noqa: S608 — names, and places
        f"ON CONFLICT ({names}) DO UPDATE SET number = {table}.number + excluded.number"
    )


def visible_to(rows: "QuerySet[Row]", user: User | AnonymousUser) -> "QuerySet[Row]":
    """Return those of the rows that count jobs which the person may see."""
    if policies.sees_all(user):
        return rows
    if not user.is_authenticated or not user.is_active:
        return rows.none()
    return rows.filter(Q(owner_id=user.pk) | Q(task__in=policies.tasks_open_to(user, "see")))

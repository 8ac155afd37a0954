"""The label of a job in lists: its main arguments, with the names of rows and files in place of their ids."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from jobroom.arguments import Parameter, Schema
from jobroom.jobs.models import StoredFile
from jobroom.jobs.recorder.state_machine import label
from jobroom.users import User


def label_of(schema: Schema, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """Return the label of a launch; arguments that are the task's own defaults are left out.

    Args:
        schema: of the task's arguments.
        args: positional arguments, secrets hidden.
        kwargs: named arguments, secrets hidden.

    """
    known = {p.name: p for p in schema.parameters}
    named = {
        name: _named(known[name], value) if name in known else value
        for name, value in kwargs.items()
        if name not in known or known[name].required or value != known[name].default
    }
    return label(args, named)


def names_of(schema: Schema, arguments: Sequence[tuple[str, Any]], user: User) -> dict[str, str]:
    """Return the names, as of now, of the rows and files that arguments are the ids of, as far as `user` may see them.

    Args:
        schema: of the task's arguments.
        arguments: names and values, secrets hidden.
        user: the person who looks. Code may have named any row, so a name is not shown with the right to see the id.

    """
    known = {p.name: p for p in schema.parameters if p.kind in ("file", "model")}
    found = {name: _visible_name(known[name], value, user) for name, value in arguments if name in known and value}
    return {name: called for name, called in found.items() if called}


def _visible_name(parameter: Parameter, value: Any, user: User) -> str:
    if parameter.kind == "file":
        return str(_first(StoredFile.objects.visible_to(user), value, "name") or "")
    rows = parameter.model._default_manager.all() if parameter.model is not None else None
    visible_to = getattr(rows, "visible_to", None)
    row = _first(visible_to(user), value) if visible_to is not None else None
    return str(row) if row is not None else ""


def _named(parameter: Parameter, value: Any) -> Any:
    """Return the name of the row or file that the value is the id of; other values as they are."""
    if parameter.kind == "file" and value:
        return _first(StoredFile.objects.all(), value, "name") or value
    if parameter.kind == "model" and parameter.model is not None and value is not None:
        row = _first(parameter.model._default_manager.all(), value)
        return str(row) if row is not None else value
    if parameter.kind == "models" and isinstance(value, list):
        return f"{len(value)} rows"
    return value


def _first(rows: QuerySet[Any], key: Any, column: str = "") -> Any:
    """Return the row, or one column of it, of that key; None where it has been deleted in this moment."""
    try:
        found = rows.filter(pk=key)
        return (found.values_list(column, flat=True) if column else found).first()
    except (ValueError, TypeError, OverflowError, ValidationError):
        return None

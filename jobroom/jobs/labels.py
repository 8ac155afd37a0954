"""What a row says of a launched job: the arguments that matter, with the names of rows and files in place of their ids."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from jobroom.arguments import Parameter, Schema
from jobroom.jobs.models import StoredFile
from jobroom.jobs.recorder.life import label


def label_of(schema: Schema, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """Return the label of a launch; arguments that are the task's own defaults are left out.

    Args:
        schema: of the task's arguments.
        args: positional arguments, secrets hidden.
        kwargs: named arguments, secrets hidden.

    """
    known = {p.name: p for p in schema.parameters}
    told = {
        name: _named(known[name], value) if name in known else value
        for name, value in kwargs.items()
        if name not in known or known[name].required or value != known[name].default
    }
    return label(args, told)


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

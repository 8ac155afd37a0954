"""The label of a job in lists: its main arguments, with the names of rows and files in place of their ids."""

import contextlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from celery import current_app
from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from jobroom.arguments import Parameter, Schema, WrongArguments, schema_of
from jobroom.jobs.models import Job, StoredFile
from jobroom.users import User

# Names of rows and files, by who may see them, the file's kind or the row's model, and the id.
Names = dict[tuple[Any, Any, str], str]


_LABEL = 120
_WORD = 40
# Kinds of arguments that are ids, which a label replaces by names.
_IDS = ("file", "model")


def label(args: Iterable[Any], kwargs: Mapping[str, Any]) -> str:
    """Return the arguments in one short line."""
    words = [_word(value) for value in args] + [f"{name}={_word(value)}" for name, value in kwargs.items()]
    text = ", ".join(words)
    return text if len(text) <= _LABEL else f"{text[: _LABEL - 1]}…"


def _word(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = " ".join(text.split())
    return text if len(text) <= _WORD else f"{text[: _WORD - 1]}…"


def label_of(schema: Schema, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """Return the label of a launch; arguments that are the task's own defaults are left out.

    Args:
        schema: of the task's arguments.
        args: positional arguments, secrets hidden.
        kwargs: named arguments, secrets hidden.

    """
    known = {p.name: p for p in schema.parameters}
    rest, named = _changed(schema, args, kwargs)
    return label(rest, {name: _named(known[name], value) if name in known else value for name, value in named.items()})


def of_recorded(task: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """Return the label of a job that code has sent: as `label_of`, with ids as they are."""
    schema = _schema_of(task)
    return label(*(_changed(schema, args, kwargs) if schema else (args, kwargs)))


def with_names(job: Job, owner: User, called: Names) -> str:
    """Return the label of a recorded job with names for the rows and files that its owner may see.

    Args:
        job: its arguments have their secrets hidden.
        owner: may read the label, as may all who may read the arguments; so others' rows are not named.
        called: what was found for other jobs, by owner, argument's kind or model, and id.

    """
    schema = _schema_of(job.task)
    if schema is None:
        return job.label
    ids = _ids(schema)
    rest, named = _changed(schema, job.args, job.kwargs)
    for name in ids.keys() & named.keys():
        key = (owner.pk, ids[name].model or "file", str(named[name]))
        if key not in called:
            called[key] = _visible_name(ids[name], named[name], owner)
        named[name] = called[key] or named[name]
    return label(rest, named)


def has_ids(task: str) -> bool:
    """Return whether arguments of the task are ids of rows or files."""
    schema = _schema_of(task)
    return schema is not None and bool(_ids(schema))


def _ids(schema: Schema) -> dict[str, Parameter]:
    return {p.name: p for p in schema.parameters if p.kind in _IDS and not p.secret}


def _schema_of(task: str) -> Schema | None:
    found = current_app.tasks.get(task)
    try:
        return schema_of(found) if found is not None else None
    except Exception:  # noqa: BLE001 — a signature that cannot be understood: its jobs are recorded all the same
        return None


def _changed(schema: Schema, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Sequence[Any], dict[str, Any]]:
    """Return positional arguments that have no name, and by name those that are not the task's own defaults."""
    rest = args
    named: Mapping[str, Any] = kwargs
    if args and not schema.takes_more:
        with contextlib.suppress(WrongArguments):  # such a job fails, and shows what it was sent with
            rest, named = (), schema.bind(args, kwargs)
    known = {p.name: p for p in schema.parameters}
    return rest, {
        name: value
        for name, value in named.items()
        if name not in known or known[name].required or value != known[name].default
    }


def names_of(schema: Schema, arguments: Sequence[tuple[str, Any]], user: User) -> dict[str, str]:
    """Return the names, as of now, of the rows and files that arguments are the ids of, as far as `user` may see them.

    Args:
        schema: of the task's arguments.
        arguments: names and values, secrets hidden.
        user: the person who looks. Code may have named any row, so a name is not shown with the right to see the id.

    """
    known = {p.name: p for p in schema.parameters if p.kind in _IDS}
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

"""The label of a job in lists: its main arguments, with the names of rows and files in place of their ids."""

import contextlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from celery import current_app
from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from jobroom import housekeeping_loops, safe_text
from jobroom.arguments import Parameter, Schema, WrongArguments, schema_of
from jobroom.jobs.models import Job, StoredFile
from jobroom.jobs.number_formats import number_of
from jobroom.users import User

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
    if len(text) > _WORD and isinstance(value, dict | list):  # the beginning of an answer says nothing
        return number_of(len(value), *(("field", "fields") if isinstance(value, dict) else ("entry", "entries")))
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
    """Return the label of a job that code has sent: as `label_of`, with ids as they are; of many their number."""
    schema = _schema_of(task)
    return label(*_counted(schema, *_changed(schema, args, kwargs))) if schema else label(args, kwargs)


def with_names(jobs: Sequence[Job], owner: User) -> dict[str, str]:
    """Return, by id, the labels of recorded jobs with names for the rows and files that their owner may see; one query for each model.

    Args:
        jobs: their arguments have their secrets hidden.
        owner: may read the labels, as may all who may read the arguments; so others' rows are not named.

    """
    schemas = {task: schema for task in {job.task for job in jobs} if (schema := _schema_of(task)) is not None}
    parts = {job.pk: _changed(schemas[job.task], job.args, job.kwargs) for job in jobs if job.task in schemas}
    ids = {task: _ids(schema) for task, schema in schemas.items()}
    wanted: dict[Any, tuple[Parameter, list[Any]]] = {}
    for job in jobs:
        for name, parameter in ids.get(job.task, {}).items():
            if parts[job.pk][1].get(name):
                wanted.setdefault(_kind(parameter), (parameter, []))[1].append(parts[job.pk][1][name])
    called: dict[Any, dict[str, str]] = {}
    for kind, (parameter, values) in wanted.items():
        with housekeeping_loops.isolated("naming arguments", f"{kind} for {owner.get_username()}"):
            called[kind] = _visible_names(parameter, values, owner)
    for job in jobs:
        for name, parameter in ids.get(job.task, {}).items():
            named = parts[job.pk][1]
            if named.get(name):
                found = called.get(_kind(parameter), {})
                named[name] = found.get(_key(_rows(parameter), named[name])) or named[name]
    tasks = {job.pk: schemas[job.task] for job in jobs if job.task in schemas}
    return {pk: label(*_counted(tasks[pk], rest, named)) for pk, (rest, named) in parts.items()}


def _counted(schema: Schema, rest: Sequence[Any], named: Mapping[str, Any]) -> tuple[Sequence[Any], dict[str, Any]]:
    """Return the arguments with the number of rows or files in place of their ids."""
    known = {p.name: p for p in schema.parameters}
    return rest, {name: _number(known[name], value) if name in known else value for name, value in named.items()}


def _number(parameter: Parameter, value: Any) -> Any:
    if not isinstance(value, list) or (parameter.kind != "models" and parameter.item not in _IDS):
        return value
    return number_of(len(value), *(("file", "files") if parameter.item == "file" else ("row", "rows")))


def _kind(parameter: Parameter) -> Any:
    return parameter.model or "file"


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
    return next(iter(_visible_names(parameter, [value], user).values()), "")


def _visible_names(parameter: Parameter, values: Sequence[Any], user: User) -> dict[str, str]:
    """Return what rows or files are called that `user` may see, by their ids as text; with one query, unless one is no id."""
    rows = _rows(parameter)
    visible_to = getattr(rows, "visible_to", None)
    if visible_to is None:
        return {}
    visible = visible_to(user)
    try:
        found = list(visible.filter(pk__in=list({_key(rows, value): value for value in values}.values())))
    except (ValueError, TypeError, OverflowError, ValidationError):
        found = [row for value in values if (row := _first(visible, value)) is not None]
    return {str(row.pk): row.name if parameter.kind == "file" else safe_text.text_of(row) for row in found}


def _rows(parameter: Parameter) -> QuerySet[Any] | None:
    if parameter.kind == "file":
        return StoredFile.objects.all()
    return parameter.model._default_manager.all() if parameter.model is not None else None


def _key(rows: QuerySet[Any] | None, value: Any) -> str:
    """Return an id as the text of the row's own; other values as their text."""
    try:
        return str(rows.model._meta.pk.to_python(value) if rows is not None else value)
    except (ValidationError, ValueError, TypeError, OverflowError):
        return str(value)


def _named(parameter: Parameter, value: Any) -> Any:
    """Return the name of the row or file that the value is the id of; other values as they are."""
    if parameter.kind == "file" and value:
        return _first(StoredFile.objects.all(), value, "name") or value
    if parameter.kind == "model" and parameter.model is not None and value is not None:
        row = _first(parameter.model._default_manager.all(), value)
        return str(row) if row is not None else value
    return _number(parameter, value)


def _first(rows: QuerySet[Any], key: Any, column: str = "") -> Any:
    """Return the row, or one column of it, of that key; None where it has been deleted in this moment."""
    try:
        found = rows.filter(pk=key)
        return (found.values_list(column, flat=True) if column else found).first()
    except (ValueError, TypeError, OverflowError, ValidationError):
        return None

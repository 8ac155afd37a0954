"""How large the input of jobs is: the bytes of their files, the number of their rows, or what the task's author names.

One number for each job, of a unit that is the same for all jobs of a task: only jobs of one task are compared.
"""

import logging
import math
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from celery import current_app
from django.core.exceptions import FieldError, ValidationError
from django.db.models import QuerySet

from jobroom import safe_text
from jobroom.arguments import Parameter, WrongArguments, schema_of
from jobroom.jobs.models import StoredFile

logger = logging.getLogger(__name__)

# Positional and named arguments as the database keeps them.
Call = tuple[Sequence[Any], Mapping[str, Any]]


def counted(task: str) -> list[Parameter]:
    """Return the arguments of a task that say how large its input is; none of a task that is not known here.

    Those whose author says how (`Argument(size=…)`), else its files, else its rows.
    """
    found = current_app.tasks.get(task)
    if found is None:
        return []
    parameters = [p for p in schema_of(found).parameters if not p.secret]
    said = [p for p in parameters if p.argument.size is not None]
    files = [p for p in parameters if "file" in {p.kind, p.item}]
    return said or files or [p for p in parameters if p.kind == "models"]


def sizes(task: str, calls: Mapping[str, Call]) -> dict[str, float]:
    """Return the size of the input of jobs of a task by their ids, with one query for each argument that is counted.

    A job is left out whose size no one knows any more, as of one whose file is gone.
    """
    parameters = counted(task)
    if not parameters:
        return {}
    schema = schema_of(current_app.tasks[task])
    named = {}
    for job, (args, kwargs) in calls.items():
        try:
            named[job] = schema.bind(args, kwargs)
        except WrongArguments:
            continue  # the signature has changed since
    totals = dict.fromkeys(named, 0.0)
    for parameter in parameters:
        values = {job: named[job].get(parameter.name, parameter.default) for job in totals}
        known = _of_argument(parameter, values)
        totals = {job: total + known[job] for job, total in totals.items() if job in known}
    return {job: total for job, total in totals.items() if total > 0 and math.isfinite(total)}


def _of_argument(parameter: Parameter, values: Mapping[str, Any]) -> dict[str, float]:
    """Return the size of one argument by job; an argument that is left empty has none."""
    size = parameter.argument.size
    if callable(size):
        return _asked(parameter, values)
    listed = {job: value if isinstance(value, list) else [value] for job, value in values.items()}
    items = {job: [str(item) for item in some if item is not None] for job, some in listed.items()}
    if "file" in {parameter.kind, parameter.item}:
        return _summed(items, _bytes({item for some in items.values() for item in some}))
    if size is not None and parameter.model is not None:
        rows = parameter.model._default_manager.all()
        return _summed(items, _column(rows, size, {item for some in items.values() for item in some}))
    return {job: float(len(some)) for job, some in items.items()}


def _summed(items: Mapping[str, Sequence[str]], known: Mapping[str, float]) -> dict[str, float]:
    return {
        job: sum(known[item] for item in some) for job, some in items.items() if all(item in known for item in some)
    }


def _bytes(ids: set[str]) -> dict[str, float]:
    """Return the bytes of files by their ids."""
    keys = {}
    for text in ids:
        try:
            keys[uuid.UUID(text)] = text
        except ValueError:
            continue  # a path, or what else an author takes
    rows = StoredFile.objects.filter(pk__in=keys).values_list("pk", "size")
    return {keys[pk]: float(size) for pk, size in rows}


def _column(rows: QuerySet[Any], column: str, ids: set[str]) -> dict[str, float]:
    """Return a column of rows by their ids, of those that are still there."""
    try:
        found = rows.filter(pk__in=ids).values_list("pk", column)
        return {str(pk): float(size) for pk, size in found if size is not None}
    except (FieldError, ValidationError, ValueError, TypeError, OverflowError) as error:
        name = rows.model._meta.verbose_name
        logger.warning("The size of a %s cannot be read from %r: %s", name, column, safe_text.error_text(error))
        return {}


def _asked(parameter: Parameter, values: Mapping[str, Any]) -> dict[str, float]:
    """Return what the author's function says of each value; where it raises the size is unknown."""
    found = {}
    problem = ""
    for job, value in values.items():
        try:
            found[job] = float(parameter.argument.size(value))  # type: ignore[operator,misc]  # the caller has looked
        except Exception as error:  # noqa: BLE001 — the boundary: an author's function raises what it likes
            problem = safe_text.error_text(error)
    if problem:
        logger.warning("The size of the argument %s is not known: %s", parameter.name, problem)
    return found

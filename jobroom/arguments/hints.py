"""Reads type hints: which kind of field an argument is, how its value is checked, and which choices it has."""

import dataclasses
import datetime
import decimal
import enum
import inspect
import types
import typing
import uuid
from collections.abc import Callable
from typing import Annotated, Any, Literal, Union

import pydantic
from django.core.exceptions import ObjectDoesNotExist
from django.db import models
from pydantic import BeforeValidator, ConfigDict, PlainSerializer, PlainValidator, WithJsonSchema

from jobroom.arguments.declarations import Argument, Choices, File

_KINDS: dict[Any, str] = {}


def _kinds() -> dict[Any, str]:
    if not _KINDS:
        _KINDS.update({
            str: "text", int: "integer", float: "number", bool: "boolean", dict: "json", decimal.Decimal: "decimal",
            datetime.date: "date", datetime.datetime: "datetime", datetime.time: "time",
            datetime.timedelta: "duration", uuid.UUID: "uuid",
        })  # fmt: skip
    return _KINDS


def is_class(hint: Any, base: type) -> bool:
    return inspect.isclass(hint) and issubclass(hint, base)


def strip(hint: Any) -> tuple[Any, list[Any], bool]:
    """Return the bare type, its metadata, and whether None is allowed."""
    metadata: list[Any] = []
    nullable = False
    while True:
        origin = typing.get_origin(hint)
        if origin is Annotated:
            hint, *more = typing.get_args(hint)
            metadata += more
        elif origin in {Union, types.UnionType} and type(None) in typing.get_args(hint):
            rest = tuple(arg for arg in typing.get_args(hint) if arg is not type(None))
            hint, nullable = (rest[0] if len(rest) == 1 else Union[rest]), True  # noqa: UP007 — built at run time
            if len(rest) > 1:
                return hint, metadata, nullable
        else:
            return hint, metadata, nullable


def rows_of(bare: Any, metadata: list[Any]) -> type[models.Model] | None:
    """Return the model of `list[Model]` or `Annotated[QuerySet, Model]`; Django forgets the one in `QuerySet[Model]`."""
    inside = metadata if bare is models.QuerySet else typing.get_args(bare) if typing.get_origin(bare) is list else ()
    return next((part for part in inside if is_class(part, models.Model)), None)


def _load_row(model: type[models.Model]) -> Callable[[Any], models.Model]:
    def load(value: Any) -> models.Model:
        if isinstance(value, model):
            return value
        try:
            return model._default_manager.get(pk=value)
        except (ObjectDoesNotExist, ValueError, TypeError) as error:
            raise ValueError(f"There is no {model._meta.verbose_name} {value!r}.") from error

    return load


def _load_rows(model: type[models.Model]) -> Callable[[Any], models.QuerySet[Any]]:
    def load(value: Any) -> models.QuerySet[Any]:
        if isinstance(value, models.QuerySet):
            return value
        if not isinstance(value, list | tuple):
            raise ValueError("Give a list of ids.")  # noqa: TRY004 — pydantic reports ValueErrors only
        wanted = [getattr(item, "pk", item) for item in value]
        try:
            rows = model._default_manager.filter(pk__in=wanted)
            missing = {str(pk) for pk in wanted} - {str(pk) for pk in rows.values_list("pk", flat=True)}
        except (ValueError, TypeError) as error:
            raise ValueError("One of the ids cannot be one.") from error
        if missing:
            raise ValueError(f"There is no {model._meta.verbose_name} {', '.join(sorted(missing))}.")
        return rows

    return load


def _no_rows(value: Any) -> Any:
    """Take rows, and no ids: nothing says of which table they would be."""
    if isinstance(value, models.QuerySet):
        return value
    raise ValueError("Its task does not say which table this is of. Its author writes `Annotated[QuerySet, Model]`.")


def _load_file(value: Any) -> File:
    if isinstance(value, File):
        return value
    if File.load is None:
        raise ValueError("No app keeps files here.")
    return File.load(str(value))


def _adapted(hint: Any) -> Any:
    """Return the hint that pydantic can check in place of `hint`."""
    bare, metadata, nullable = strip(hint)
    plain: Any = bare
    if is_class(bare, models.Model):
        label = bare._meta.label
        plain = Annotated[
            Any,
            PlainValidator(_load_row(bare)),
            PlainSerializer(lambda row: row.pk),
            WithJsonSchema({"type": ["integer", "string"], "x-model": label}),
        ]
    elif rows := rows_of(bare, metadata):
        load = _load_rows(rows)
        plain = Annotated[
            Any,
            PlainValidator(load if bare is models.QuerySet else lambda value: list(load(value))),
            PlainSerializer(lambda found: [row.pk for row in found]),
            WithJsonSchema({"type": "array", "items": {"type": ["integer", "string"]}, "x-model": rows._meta.label}),
        ]
    elif bare is models.QuerySet:
        plain = Annotated[Any, PlainValidator(_no_rows), WithJsonSchema({"type": "array"})]
    elif is_class(bare, File):
        plain = Annotated[
            Any,
            PlainValidator(_load_file),
            PlainSerializer(lambda file: file.id),
            WithJsonSchema({"type": "string", "format": "uuid", "x-file": True}),
        ]
    kept = [part for part in metadata if not (inspect.isclass(part) or isinstance(part, Argument | str))]
    for part in kept:
        plain = Annotated[plain, part]
    if bare in {int, float}:
        # pydantic would take True for 1.
        plain = Annotated[plain, BeforeValidator(_no_truth_value)]
    return plain | None if nullable else plain


def checkable(hint: Any) -> Any:
    """Return the adapted hint, or Any where pydantic can make nothing of it: such an argument is passed as it comes."""
    adapted = _adapted(hint)
    try:
        pydantic.TypeAdapter(adapted, config=ConfigDict(arbitrary_types_allowed=True)).json_schema()
    except pydantic.errors.PydanticUserError:
        return Any
    return adapted


def _no_truth_value(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("Give a number, not true or false.")  # noqa: TRY004 — pydantic reports ValueErrors only
    return value


def argument_of(metadata: list[Any]) -> Argument:
    """Return what the hint says to people: an Argument, or a plain text, which is its help."""
    argument = next((part for part in metadata if isinstance(part, Argument)), Argument())
    text = next((part for part in metadata if isinstance(part, str)), "")
    return dataclasses.replace(argument, help=argument.help or text)


def kind_of(bare: Any) -> str:
    if typing.get_origin(bare) is Literal or is_class(bare, enum.Enum):
        return "choice"
    if is_class(bare, models.Model):
        return "model"
    if bare is models.QuerySet or rows_of(bare, []):
        return "models"
    if is_class(bare, File):
        return "file"
    if bare in {list, tuple, set} or typing.get_origin(bare) in {list, tuple, set}:
        return "list"
    return _kinds().get(bare, "json")


def choices_of(bare: Any) -> Choices:
    if typing.get_origin(bare) is Literal:
        return [(value, str(value)) for value in typing.get_args(bare)]
    if is_class(bare, enum.Enum):
        return [(item.value, str(getattr(item, "label", item.name.replace("_", " ").capitalize()))) for item in bare]
    return []

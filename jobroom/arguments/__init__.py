"""One schema for the arguments of a task, made from the signature of its `run`.

The launch page, the API, the command line and the worker all use it, so that they can never disagree. Types are those
of the hints; help, bounds, grouping and choices come through `Annotated`:

    def run(self, asset: Asset, faces: Annotated[int, Ge(100), Argument(title="Faces", help="How many to keep")] = 5000)

On the wire there is only JSON: dates as ISO texts, model instances and files as their ids. A worker turns them back into
what the hints say before `run` is called, also where the job was sent by plain `.delay(pk)`.
"""

import dataclasses
import difflib
import enum
import functools
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union

import pydantic
from django.core.exceptions import ObjectDoesNotExist
from django.db import models
from pydantic import BeforeValidator, ConfigDict, PlainSerializer, PlainValidator, WithJsonSchema
from pydantic_core import PydanticUndefined

from jobroom.arguments.messages import place, sentence
from jobroom.arguments.redaction import Secret, is_secret_name
from jobroom.exceptions import TaskError
from jobroom.resources.declaration import is_marked

# So many mistakes are told of one call, and so much of a name that nobody knows.
MOST_ERRORS = 20
LONGEST_NAME = 100

# Pairs of value and label, or plain values that are their own labels.
Choices = Sequence[Any]
Answers = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Argument:
    """What a form shows about one argument; put it into `Annotated`.

    `choices`, `visible` and `default` may be functions of the answers so far (a dict, possibly incomplete): the form asks
    them again whenever an answer changes.
    """

    title: str = ""
    help: str = ""
    group: str = ""
    order: int = 0
    multiline: bool = False
    suffixes: tuple[str, ...] = ()  # of a file, with the dot: (".ply", ".stl")
    choices: Choices | Callable[[Answers], Choices] | None = None
    visible: Callable[[Answers], bool] | None = None
    default: Callable[[Answers], Any] | None = None


class File:
    """Hint for an uploaded file: `run` gets an object of this type; on the wire it is the file's id."""

    # Set by the app that keeps files: turns an id into an object, and raises ValueError for an unknown one.
    load: typing.ClassVar[Callable[[str], "File"] | None] = None

    id: str
    name: str
    path: Path
    sha256: str = ""  # of the content; empty when nobody has computed it


class WrongArguments(TaskError):
    """The arguments do not fit the task."""

    def __init__(self, errors: dict[str, list[str]]) -> None:
        super().__init__("; ".join(f"{name}: {' '.join(texts)}" for name, texts in errors.items()))
        self.errors = errors


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One argument of a task, as a form needs it."""

    name: str
    kind: str  # text, integer, number, decimal, boolean, date, datetime, time, duration, choice, list, json, uuid, file, model, models
    required: bool
    nullable: bool
    default: Any  # as JSON; None when there is none
    secret: bool
    argument: Argument
    hint: Any
    model: type[models.Model] | None = None
    item: str = ""  # kind of a list's items
    choices: Choices = dataclasses.field(default_factory=list)
    schema: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def title(self) -> str:
        """The label: the given title, or the name in words."""
        return self.argument.title or self.name.replace("_", " ").capitalize()


_KINDS: dict[Any, str] = {}


def _kinds() -> dict[Any, str]:
    if not _KINDS:
        import datetime
        import decimal
        import uuid

        _KINDS.update({
            str: "text", int: "integer", float: "number", bool: "boolean", dict: "json", decimal.Decimal: "decimal",
            datetime.date: "date", datetime.datetime: "datetime", datetime.time: "time",
            datetime.timedelta: "duration", uuid.UUID: "uuid",
        })  # fmt: skip
    return _KINDS


def _is_class(hint: Any, base: type) -> bool:
    return inspect.isclass(hint) and issubclass(hint, base)


def _strip(hint: Any) -> tuple[Any, list[Any], bool]:
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


def _rows_of(bare: Any, metadata: list[Any]) -> type[models.Model] | None:
    """Return the model of `list[Model]` or `Annotated[QuerySet, Model]`; Django forgets the one in `QuerySet[Model]`."""
    inside = metadata if bare is models.QuerySet else typing.get_args(bare) if typing.get_origin(bare) is list else ()
    return next((part for part in inside if _is_class(part, models.Model)), None)


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
    bare, metadata, nullable = _strip(hint)
    plain: Any = bare
    if _is_class(bare, models.Model):
        label = bare._meta.label
        plain = Annotated[
            Any,
            PlainValidator(_load_row(bare)),
            PlainSerializer(lambda row: row.pk),
            WithJsonSchema({"type": ["integer", "string"], "x-model": label}),
        ]
    elif rows := _rows_of(bare, metadata):
        load = _load_rows(rows)
        plain = Annotated[
            Any,
            PlainValidator(load if bare is models.QuerySet else lambda value: list(load(value))),
            PlainSerializer(lambda found: [row.pk for row in found]),
            WithJsonSchema({"type": "array", "items": {"type": ["integer", "string"]}, "x-model": rows._meta.label}),
        ]
    elif bare is models.QuerySet:
        plain = Annotated[Any, PlainValidator(_no_rows), WithJsonSchema({"type": "array"})]
    elif _is_class(bare, File):
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


def _checkable(hint: Any) -> Any:
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


def _argument(metadata: list[Any]) -> Argument:
    """Return what the hint says to people: an Argument, or a plain text, which is its help."""
    argument = next((part for part in metadata if isinstance(part, Argument)), Argument())
    text = next((part for part in metadata if isinstance(part, str)), "")
    return dataclasses.replace(argument, help=argument.help or text)


def _kind(bare: Any) -> str:
    if typing.get_origin(bare) is Literal or _is_class(bare, enum.Enum):
        return "choice"
    if _is_class(bare, models.Model):
        return "model"
    if bare is models.QuerySet or _rows_of(bare, []):
        return "models"
    if _is_class(bare, File):
        return "file"
    if bare in {list, tuple, set} or typing.get_origin(bare) in {list, tuple, set}:
        return "list"
    return _kinds().get(bare, "json")


def _choices(bare: Any) -> Choices:
    if typing.get_origin(bare) is Literal:
        return [(value, str(value)) for value in typing.get_args(bare)]
    if _is_class(bare, enum.Enum):
        return [(item.value, str(getattr(item, "label", item.name.replace("_", " ").capitalize()))) for item in bare]
    return []


# Kinds whose JSON is not what `run` expects: the worker has to turn them back.
_RICH = {"decimal", "date", "datetime", "time", "duration", "uuid", "file", "model", "models"}


class Schema:
    """The arguments of one task: parameters for forms, checking, and the way to the wire and back."""

    def __init__(self, run: Callable[..., Any]) -> None:
        signature = inspect.signature(run)
        try:
            hints = typing.get_type_hints(run, include_extras=True)
        except (NameError, TypeError):
            hints = {}
        # What is filled in with a resource is nobody's to give.
        kept = [p for name, p in signature.parameters.items() if not is_marked(hints.get(name))]
        self.filled_in = len(kept) < len(signature.parameters)
        signature = signature.replace(parameters=kept)
        self._signature = signature
        self.open = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
        # The name of `*args`, whose values nothing describes; empty where there is none.
        self.rest = next((p.name for p in signature.parameters.values() if p.kind is p.VAR_POSITIONAL), "")
        self.takes_more = any(p.kind is p.VAR_POSITIONAL for p in signature.parameters.values())
        self._named = [p for p in signature.parameters.values() if p.kind not in {p.VAR_KEYWORD, p.VAR_POSITIONAL}]
        hints = {p.name: hints.get(p.name, Any) for p in self._named}
        fields: dict[str, Any] = {
            _field(p.name): (
                _checkable(hints[p.name]),
                pydantic.Field(default=PydanticUndefined if p.default is p.empty else p.default, alias=p.name),
            )
            for p in self._named
        }
        config = ConfigDict(
            extra="allow" if self.open else "forbid",
            arbitrary_types_allowed=True,
            populate_by_name=True,
            allow_inf_nan=False,  # JSON has no such numbers
        )
        self.model = pydantic.create_model("Arguments", __config__=config, **fields)
        self.parameters = self._parameters(hints)
        self.rich = any(
            p.kind in _RICH or p.item in _RICH or _is_class(_strip(p.hint)[0], enum.Enum) for p in self.parameters
        )

    def _parameters(self, hints: dict[str, Any]) -> list[Parameter]:
        found = []
        properties = self.json_schema().get("properties", {})
        for number, p in enumerate(self._named):
            bare, metadata, nullable = _strip(hints[p.name])
            argument = _argument(metadata)
            item, *_ = typing.get_args(bare) or (None,)
            kind = _kind(bare)
            row = _rows_of(bare, metadata) if kind == "models" else bare
            parameter = Parameter(
                name=p.name,
                kind=kind,
                required=p.default is p.empty,
                nullable=nullable,
                default=properties.get(p.name, {}).get("default"),
                secret=Secret in metadata or is_secret_name(p.name),
                argument=argument,
                hint=hints[p.name],
                model=row if _is_class(row, models.Model) else None,
                item=_kind(_strip(item)[0]) if kind == "list" and item is not None else "",
                choices=_choices(bare) or (_choices(item) if kind == "list" else []),
                schema=properties.get(p.name, {}),
            )
            found.append((argument.order, number, parameter))
        return [parameter for _, _, parameter in sorted(found, key=lambda row: row[:2])]

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema (2020-12) of the arguments."""
        schema: dict[str, Any] = self.model.model_json_schema(by_alias=True)
        return schema

    def validate(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments as `run` expects them; raise WrongArguments, which names each wrong one."""
        try:
            checked = self.model.model_validate(dict(arguments), by_alias=True, by_name=False)
        except pydantic.ValidationError as error:
            raise WrongArguments(self._errors(error)) from error
        values = {
            p.name: getattr(checked, _field(p.name)) for p in self._named if _field(p.name) in checked.model_fields_set
        }
        return {**values, **(checked.model_extra or {})}

    def wire(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return checked arguments as JSON; takes what `validate` returned, or anything that it would take."""
        try:
            checked = self.model.model_validate(dict(arguments), by_alias=True, by_name=False)
        except pydantic.ValidationError as error:
            raise WrongArguments(self._errors(error)) from error
        sent: dict[str, Any] = checked.model_dump(mode="json", by_alias=True, exclude_unset=True)
        return sent

    def bind(self, args: Any, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return positional and keyword arguments of a call by name; raise WrongArguments if they do not fit."""
        try:
            bound = self._signature.bind_partial(*args, **kwargs).arguments
        except TypeError as error:
            raise WrongArguments({"arguments": [f"{str(error).capitalize()}."]}) from error
        extra = next((p.name for p in self._signature.parameters.values() if p.kind is p.VAR_KEYWORD), None)
        named = {name: value for name, value in bound.items() if name != extra}
        return {**named, **bound.get(extra or "", {})}

    def call(self, arguments: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Return named arguments as `args` and `kwargs` of a message; only positional-only ones become `args`."""
        positional = [p.name for p in self._named if p.kind is p.POSITIONAL_ONLY and p.name in arguments]
        return [arguments[name] for name in positional], {
            name: value for name, value in arguments.items() if name not in positional
        }

    def received(self, args: Any, kwargs: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any]]:
        """Return the arguments of a message as `run` expects them; what has no rich type stays untouched."""
        if self.takes_more:
            return args, kwargs
        if self.rich:
            return self.call(self.validate(self.bind(args, kwargs)))
        # By name, because a resource may stand between two arguments that came by position.
        return self.call(self.bind(args, kwargs)) if self.filled_in and args else (args, kwargs)

    def _errors(self, error: pydantic.ValidationError) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        names = [p.name for p in self._named]
        for part in error.errors(include_url=False, include_input=False)[:MOST_ERRORS]:
            where = [str(step) for step in part["loc"]]
            name = where[0][:LONGEST_NAME] if where else "arguments"
            text = sentence(part)
            if part["type"] == "extra_forbidden":
                close = difflib.get_close_matches(name, names, n=1)
                known = f"Did you mean {close[0]}?" if close else f"Known: {', '.join(names) or 'none'}."
                text = f"The task has no such argument. {known}"
            inner = place(where[1:])
            said = f"{inner}: {text}" if inner else text
            texts = found.setdefault(name, [])
            if said not in texts:  # each branch of a union says it
                texts.append(said)
        return found


def _field(name: str) -> str:
    """Return a field name that pydantic accepts: it reserves some and refuses leading underscores."""
    return f"arg_{name}"


@functools.lru_cache(maxsize=4096)
def _schema(run: Callable[..., Any]) -> Schema:
    return Schema(run)


def schema_of(task: Any) -> Schema:
    """Return the schema of a registered task's arguments."""
    return _schema(task.run)

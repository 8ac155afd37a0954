"""One schema for the arguments of a task, made from the signature of its `run`.

The launch page, the API, the command line and the worker all use it, so that they can never disagree. Types are those
of the hints; help, bounds, grouping and choices come through `Annotated`:

    def run(self, asset: Asset, faces: Annotated[int, Ge(100), Argument(title="Faces", help="How many to keep")] = 5000)

On the wire there is only JSON: dates as ISO texts, model instances and files as their ids. A worker turns them back into
what the hints say before `run` is called, also where the job was sent by plain `.delay(pk)`.
"""

import contextlib
import dataclasses
import difflib
import enum
import functools
import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any

import pydantic
from django.db import models
from pydantic import ConfigDict
from pydantic_core import PydanticUndefined

from jobroom.arguments.declarations import Answers, Argument, Choices, File
from jobroom.arguments.hints import argument_of, checkable, choices_of, is_class, kind_of, rows_of, strip
from jobroom.arguments.messages import place, sentence
from jobroom.arguments.redaction import Secret, is_secret_name
from jobroom.exceptions import TaskError
from jobroom.resources.declaration import is_marked

__all__ = ["Answers", "Argument", "Choices", "File", "Parameter", "Schema", "WrongArguments", "schema_of"]

# So many mistakes are listed of one call, and so much of a name that is unknown.
MOST_ERRORS = 20
LONGEST_NAME = 100


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
        # What is filled in with a resource is no one's to give.
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
        self._hints = {name: checkable(hint) for name, hint in hints.items()}
        self.model = self._made({p.name: PydanticUndefined if p.default is p.empty else p.default for p in self._named})
        self.parameters = self._parameters(hints)
        self.rich = any(
            p.kind in _RICH or p.item in _RICH or is_class(strip(p.hint)[0], enum.Enum) for p in self.parameters
        )

    def _made(self, defaults: Mapping[str, Any]) -> type[pydantic.BaseModel]:
        fields: dict[str, Any] = {
            _field(name): (self._hints[name], pydantic.Field(default=default, alias=name))
            for name, default in defaults.items()
        }
        config = ConfigDict(
            extra="allow" if self.open else "forbid",
            arbitrary_types_allowed=True,
            populate_by_name=True,
            allow_inf_nan=False,  # JSON has no such numbers
        )
        return pydantic.create_model("Arguments", __config__=config, **fields)

    @functools.cached_property
    def _some(self) -> type[pydantic.BaseModel]:
        return self._made({p.name: None for p in self._named})

    @functools.cached_property
    def defaults_on_the_wire(self) -> dict[str, Any]:
        """The defaults as JSON; one that does not fit its own hint is taken as it is."""
        found = {p.name: p.default for p in self.parameters if not p.required}
        for name, value in found.items():
            with contextlib.suppress(WrongArguments):
                found[name] = self.wire_some({name: value})[name]
        return found

    def _parameters(self, hints: dict[str, Any]) -> list[Parameter]:
        found = []
        properties = self.json_schema().get("properties", {})
        for number, p in enumerate(self._named):
            bare, metadata, nullable = strip(hints[p.name])
            argument = argument_of(metadata)
            item, *_ = typing.get_args(bare) or (None,)
            kind = kind_of(bare)
            row = rows_of(bare, metadata) if kind == "models" else bare
            parameter = Parameter(
                name=p.name,
                kind=kind,
                required=p.default is p.empty,
                nullable=nullable,
                default=properties.get(p.name, {}).get("default"),
                secret=Secret in metadata or is_secret_name(p.name),
                argument=argument,
                hint=hints[p.name],
                model=row if is_class(row, models.Model) else None,
                item=kind_of(strip(item)[0]) if kind == "list" and item is not None else "",
                choices=choices_of(bare) or (choices_of(item) if kind == "list" else []),
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
        return self._wire(self.model, arguments)

    def wire_some(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return some arguments as `wire` does; what is not among them is not missed."""
        return self._wire(self._some, arguments)

    def _wire(self, model: type[pydantic.BaseModel], arguments: Mapping[str, Any]) -> dict[str, Any]:
        try:
            checked = model.model_validate(dict(arguments), by_alias=True, by_name=False)
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

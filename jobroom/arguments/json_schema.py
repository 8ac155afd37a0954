"""Makes parameters of a JSON Schema, so that a form shows them as it shows the arguments of a task."""

from collections.abc import Mapping
from typing import Any

from django.apps import apps

from jobroom.arguments import Parameter
from jobroom.arguments.declarations import Argument
from jobroom.arguments.redaction import is_secret_name

# Kinds of fields by type, and of texts by format; anything else is a text.
_KINDS = {"integer": "integer", "number": "number", "boolean": "boolean", "array": "json", "object": "json"}
_FORMATS = {"date": "date", "date-time": "datetime", "time": "time"}


def parameters_of(schema: Mapping[str, Any]) -> list[Parameter]:
    """Return a parameter for each property of a JSON Schema (2020-12), in their order; `x-model` names a model of Django."""
    needed = set(schema.get("required", ()))
    return [_parameter(name, part, name in needed) for name, part in schema.get("properties", {}).items()]


def _parameter(name: str, part: Any, needed: bool) -> Parameter:
    part = part if isinstance(part, Mapping) else {}  # `true` lets anything pass
    model = apps.get_model(str(part["x-model"])) if part.get("x-model") else None
    return Parameter(
        name=name,
        kind="model" if model is not None else _kind(part),
        required=needed,
        nullable=not needed and "default" not in part,
        default=part.get("default"),
        secret=is_secret_name(name),
        argument=Argument(title=str(part.get("title") or ""), help=str(part.get("description") or "")),
        hint=Any,
        model=model,
        choices=[(value, str(value)) for value in part.get("enum", ())],
        schema=dict(part),
    )


def _kind(part: Mapping[str, Any]) -> str:
    named = part.get("type", "string")
    types = [one for one in named if one != "null"] if isinstance(named, list) else [named]
    only = types[0] if len(types) == 1 else "string"
    return _FORMATS.get(part.get("format", ""), "text") if only == "string" else _KINDS.get(only, "text")

"""Error messages of JSON Schema, in words for people who do not know it."""

import json
import re
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

from jsonschema.exceptions import ValidationError

# The types of JSON Schema, as people call them.
KINDS = {
    "object": "an object (names with values)",
    "array": "a list",
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}


def sentence(error: ValidationError) -> str:
    """Return what is wrong, and what would be right."""
    say = _SAYINGS.get(str(error.validator))
    return say(error) if say else f"{error.message}."


def field_of(error: ValidationError) -> str:
    """Return the name of the value that is wrong, such as `nodes.a.args.0`; empty for the whole."""
    return ".".join(str(step) for step in error.absolute_path)


def place_of(error: ValidationError) -> tuple[str | int, ...]:
    """Return where the mistake stands: a name that is unknown itself, not what it stands in."""
    return (*error.absolute_path, *_unknown(error)[:1])


def missing(error: ValidationError) -> str:
    """Return the name of the property that is missing."""
    found = re.match(r"'(.*?)' is a required property", error.message)
    return found[1] if found else "payload"


def short(value: Any) -> str:
    """Return a value as it would be written, cut where it is long."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return f"“{text[:60]}{'…' if len(text) > 60 else ''}”"


def similar(name: str, known: list[str]) -> str:
    """Return a hint at a name that was probably meant, or which there are."""
    close = get_close_matches(name, known, n=2)
    return f" Did you mean {' or '.join(close)}?" if close else f" There are: {', '.join(known)}."


def _unknown(error: ValidationError) -> list[str]:
    if error.validator != "additionalProperties" or not isinstance(error.instance, dict):
        return []
    return [str(name) for name in error.instance if name not in error.schema.get("properties", {})]


def _of_names(error: ValidationError) -> str:
    unknown = _unknown(error)
    return f"“{', '.join(unknown)}” is unknown here.{similar(unknown[0], list(error.schema.get('properties', {})))}"


def _of_kind(error: ValidationError) -> str:
    kinds = error.validator_value if isinstance(error.validator_value, list) else [error.validator_value]
    return f"{short(error.instance)} is not {' or '.join(KINDS.get(str(kind), str(kind)) for kind in kinds)}."


def _of_choices(error: ValidationError) -> str:
    return f"{short(error.instance)} is none of {', '.join(map(str, error.validator_value))}."


def _of_alternatives(error: ValidationError) -> str:
    return f"{short(error.instance)} does not fit. {error.schema.get('description', '')}".strip()


def _of_form(error: ValidationError) -> str:
    wanted = error.schema.get("description", "") or f"It must look like {error.validator_value}"
    return f"{short(error.instance)} does not fit. {wanted.rstrip('.')}."


def _of_size(error: ValidationError) -> str:
    if error.validator_value == 1:
        return "It must not be empty."
    return f"{short(error.instance)} is too short; at least {error.validator_value} are needed."


_SAYINGS: dict[str, Callable[[ValidationError], str]] = {
    "required": lambda error: f"“{missing(error)}” is missing.",
    "additionalProperties": _of_names,
    "type": _of_kind,
    "enum": _of_choices,
    "const": lambda error: f"It must be {error.validator_value}, not {short(error.instance)}.",
    "oneOf": _of_alternatives,
    "anyOf": _of_alternatives,
    "pattern": _of_form,
    "minimum": lambda error: f"{error.instance} is too small; the least is {error.validator_value}.",
    "maximum": lambda error: f"{error.instance} is too large; the most is {error.validator_value}.",
    "exclusiveMinimum": lambda error: f"It must be more than {error.validator_value}, not {error.instance}.",
    "exclusiveMaximum": lambda error: f"It must be less than {error.validator_value}, not {error.instance}.",
    "minProperties": _of_size,
    "minLength": _of_size,
    "minItems": _of_size,
    "maxLength": lambda error: f"It has {len(error.instance)} characters; at most {error.validator_value} are kept.",
}

"""The payload of a definition: its JSON Schema, and the validation."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from itertools import islice
from typing import Any

from django.apps import apps
from jsonschema.exceptions import SchemaError, ValidationError
from referencing.exceptions import Unresolvable

from jobroom.arguments import LONGEST_NAME, MOST_ERRORS
from jobroom.arguments.storable import unstorable
from jobroom.workflows.definitions.bounded_schema import TooMuch, bounded, check_schema, validator, wrong_patterns
from jobroom.workflows.definitions.messages import KINDS, field_of, missing, sentence
from jobroom.workflows.exceptions import WrongFields

Problem = tuple[str, tuple[str | int, ...]]


class WrongPayload(WrongFields):
    """The payload does not fit the definition."""


def problems(schema: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what is wrong with the schema of a payload, and where in it."""
    try:
        check_schema(schema)
    except SchemaError as error:
        kinds = f" There are: {', '.join(KINDS)}." if list(error.absolute_path)[-1:] == ["type"] else ""
        yield f"This is no JSON Schema: {sentence(error)}{kinds}", tuple(error.absolute_path)
        return
    if schema.get("type") != "object":
        yield "A payload is always an object; leave `type` out.", ("type",)
        return
    yield from _foreign(schema, ())
    if wrong := list(wrong_patterns(schema)):
        yield from ((f"This is no JSON Schema: {reason}", path) for reason, path in wrong)
        return
    properties = schema.get("properties", {})
    for name in schema.get("required", ()):
        if properties and name not in properties:
            yield f"“{name}” is required, but is not among `properties`.", ("required",)
    for name, part in properties.items():
        yield from _of_property(name, part)


def _foreign(value: Any, path: tuple[str | int, ...]) -> Iterator[Problem]:
    """Yield the references that lead elsewhere."""
    if isinstance(value, dict):
        target = value.get("$ref")
        if isinstance(target, str) and not target.startswith("#"):
            yield f"`$ref` stays within the payload, such as #/$defs/size; nothing is fetched from {target}.", path
        for key, item in value.items():
            yield from _foreign(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _foreign(item, (*path, index))


def _of_property(name: str, part: Any) -> Iterator[Problem]:
    if not isinstance(part, dict):
        return
    try:
        with bounded():
            wrong = next(validator(part).iter_errors(part["default"]), None) if "default" in part else None
    except Unresolvable:
        wrong = None  # it points into the whole schema
    except TooMuch:
        yield "To check the default would take too long. Make it smaller, or the schema simpler.", ("properties", name)
        return
    if wrong is not None:
        yield f"The default does not fit: {sentence(wrong)}", ("properties", name, "default")
    if "x-model" in part:
        try:
            apps.get_model(str(part["x-model"]))
        except (LookupError, ValueError):
            text = f"There is no model “{part['x-model']}”. Name app and model, such as assets.Asset."
            yield text, ("properties", name, "x-model")


def filled(schema: Mapping[str, Any], payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return a payload with the defaults of its JSON Schema; raise WrongPayload with an entry for each wrong field."""
    properties = schema.get("properties", {})
    defaults = {
        name: part["default"] for name, part in properties.items() if isinstance(part, dict) and "default" in part
    }
    found = defaults | dict(payload)
    errors: dict[str, list[str]] = unstorable(payload)
    if errors:
        raise WrongPayload(errors)
    unknown = [name for name in payload if properties and name not in properties]
    for name in (unknown := unknown[:MOST_ERRORS]):
        similar = get_close_matches(name[:LONGEST_NAME], properties, n=1)
        errors[name] = [f"There is no such field.{f' Did you mean {similar[0]}?' if similar else ''}"]
    empty = [name for name in schema.get("required", ()) if found.get(name) == "" and name not in unknown]
    errors |= {name: ["This field is needed."] for name in empty}
    for error in _errors(schema, found):
        name = str(error.absolute_path[0]) if error.absolute_path else missing(error)
        if name not in unknown and name not in empty:
            errors.setdefault(name, []).append(_explained(error))
    if errors:
        raise WrongPayload(errors)
    return found


def _errors(schema: Mapping[str, Any], payload: Mapping[str, Any]) -> list[ValidationError]:
    try:
        with bounded():
            return list(islice(validator(schema).iter_errors(payload), MOST_ERRORS))
    except TooMuch as error:
        reason = "To check it would take too long. Make the payload smaller, or the schema simpler."
        raise WrongPayload({"payload": [reason]}) from error
    except ValueError as error:  # a pattern that was kept before patterns were bounded
        raise WrongPayload({"payload": [f"The schema of the payload has an impossible pattern: {error}."]}) from error
    except Unresolvable as error:
        raise WrongPayload({"payload": [f"The schema of the payload refers to what is not there: {error}"]}) from error


def _explained(error: ValidationError) -> str:
    """Return the sentence, with the place inside a field that is a list or an object."""
    _, _, inside = field_of(error).partition(".")
    return f"At {inside}: {sentence(error)}" if inside else sentence(error)

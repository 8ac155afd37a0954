"""What a definition is launched with: the JSON Schema of it, and a payload that is held against it."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from django.apps import apps
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from referencing import Registry
from referencing.exceptions import Unresolvable

from common.storable import unstorable
from workflows.definitions.wording import KINDS, field_of, missing, sentence
from workflows.exceptions import WrongFields

Problem = tuple[str, tuple[str | int, ...]]


class WrongPayload(WrongFields):
    """The payload does not fit the definition."""


def _validator(schema: Mapping[str, Any]) -> Draft202012Validator:
    """Return a validator that fetches nothing: a definition must not make the server read other addresses."""
    return Draft202012Validator(schema, registry=Registry())


def problems(schema: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what is wrong with the schema of a payload, and where in it."""
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        kinds = f" There are: {', '.join(KINDS)}." if list(error.absolute_path)[-1:] == ["type"] else ""
        yield f"This is no JSON Schema: {sentence(error)}{kinds}", tuple(error.absolute_path)
        return
    if schema.get("type") != "object":
        yield "A payload is always an object; leave `type` out.", ("type",)
        return
    yield from _foreign(schema, ())
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
        wrong = next(_validator(part).iter_errors(part["default"]), None) if "default" in part else None
    except Unresolvable:
        wrong = None  # it points into the whole schema
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
    for name in unknown:
        similar = get_close_matches(name, properties, n=1)
        errors[name] = [f"There is no such field.{f' Did you mean {similar[0]}?' if similar else ''}"]
    for error in _errors(schema, found):
        name = str(error.absolute_path[0]) if error.absolute_path else missing(error)
        if name not in unknown:
            errors.setdefault(name, []).append(_told(error))
    if errors:
        raise WrongPayload(errors)
    return found


def _errors(schema: Mapping[str, Any], payload: Mapping[str, Any]) -> list[ValidationError]:
    try:
        return list(_validator(schema).iter_errors(payload))
    except Unresolvable as error:
        raise WrongPayload({"payload": [f"The schema of the payload refers to what is not there: {error}"]}) from error


def _told(error: ValidationError) -> str:
    """Return the sentence, with the place inside a field that is a list or an object."""
    _, _, inside = field_of(error).partition(".")
    return f"At {inside}: {sentence(error)}" if inside else sentence(error)

"""Validates payloads against the JSON Schema of a definition in bounded time, whatever the schema and the payload.

Python's own engine tries alternatives one after the other, and a pattern such as `(a+)+$` keeps it busy for hours. The Rust
engine that pydantic brings along takes time in proportion to pattern and text; it has no look-around and no references to
groups. All that is left to bound is their product, and the number of steps that `$ref` and `anyOf` can ask for.
"""

import contextlib
import contextvars
import functools
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker, validators
from jsonschema.exceptions import ValidationError
from pydantic_core import SchemaError, SchemaValidator, core_schema
from referencing import Registry

# Longest pattern in characters, and its greatest size: counted repetitions are written out by the engine.
LONGEST_PATTERN = 500
LARGEST_PATTERN = 1000
# What one check may cost, in characters times size of pattern, and what one step of it costs: some seconds at worst.
MOST = 20_000_000
STEP = 400
REMEDY = (
    f"A pattern has no look-around, no references to groups, at most {LONGEST_PATTERN} characters, and at most "
    f"{LARGEST_PATTERN:,} with its repetitions written out."
)

_left: contextvars.ContextVar[list[int] | None] = contextvars.ContextVar("left", default=None)
_PARTS = re.compile(r"\\(?:[pP]\{[^}]*\}|.)|\[\^?\]?(?:\\.|[^\]\\])*\]|\{\d*,?\d*\}|.", re.DOTALL)


class TooMuch(Exception):
    """The check was given up, because it would take too long."""


def size_of(pattern: str) -> int:
    """Return how many parts the pattern has with its counted repetitions written out, roughly."""
    open_groups: list[int] = []
    total, last = 0, 0
    for part in _PARTS.findall(pattern):
        if part == "(":
            open_groups.append(total)
            total = last = 0
        elif part == ")" and open_groups:
            last, total = total, open_groups.pop() + total
        elif len(part) > 2 and part[0] == "{":
            times = max([1, *(int(number[:9]) for number in re.findall(r"\d+", part))])
            total, last = total + last * (times - 1), last * times
        else:
            total, last = total + 1, 1
    return total + sum(open_groups)


@functools.lru_cache(maxsize=512)
def _compiled(pattern: str) -> tuple[SchemaValidator, int]:
    """Return what `fits` asks, and the size of the pattern; raise ValueError where there can be no such pattern."""
    size = size_of(pattern)
    if len(pattern) > LONGEST_PATTERN or size > LARGEST_PATTERN:
        raise ValueError("it is too large")
    try:
        return SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex")), size
    except SchemaError as error:
        raise ValueError(_reason(str(error))) from error


def _reason(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next(
        (line.removeprefix("error:").strip() for line in lines if line.startswith("error:")), "it is no pattern"
    )


def wrong_with(pattern: str) -> str:
    """Return what is wrong with a pattern, as a sentence; empty if nothing is."""
    try:
        _compiled(pattern)
    except ValueError as error:
        return f"“{pattern[:60]}” cannot be a pattern: {error}. {REMEDY}"
    return ""


def fits(pattern: str, text: str) -> bool:
    """Return whether the pattern is found in the text; raise ValueError for an impossible one, TooMuch within a check."""
    engine, size = _compiled(pattern)
    _spend(size * (len(text) + 1))
    return engine.isinstance_python(text)


# The check of a schema ---------------------------------------------------------------------------------------------------

_Found = Iterator[ValidationError]


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    """While inside, all checks together may cost MOST; raises TooMuch."""
    token = _left.set([MOST])
    try:
        yield
    except RecursionError as error:
        raise TooMuch from error
    finally:
        _left.reset(token)


def _spend(cost: int) -> None:
    left = _left.get()
    if left is not None:
        left[0] -= cost
        if left[0] < 0:
            raise TooMuch


def _counted(check: Callable[..., Any]) -> Callable[..., _Found]:
    def counting(validator: Any, value: Any, instance: Any, schema: Any) -> _Found:
        _spend(STEP)
        yield from check(validator, value, instance, schema) or ()

    return counting


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> _Found:
    if validator.is_type(instance, "string") and not fits(pattern, instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _pattern_properties(validator: Any, patterns: Mapping[str, Any], instance: Any, schema: Any) -> _Found:
    if not validator.is_type(instance, "object"):
        return
    for pattern, part in patterns.items():
        for name, value in instance.items():
            if fits(pattern, name):
                yield from validator.descend(value, part, path=name, schema_path=pattern)


def _additional_properties(validator: Any, rule: Any, instance: Any, schema: Any) -> _Found:
    if not validator.is_type(instance, "object"):
        return
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    others = [name for name in instance if name not in known and not any(fits(p, name) for p in patterns)]
    if validator.is_type(rule, "object"):
        for name in others:
            yield from validator.descend(instance[name], rule, path=name)
    elif not rule and others:
        yield ValidationError(f"Additional properties are not allowed ({', '.join(map(repr, others))} unexpected)")


def _unique(validator: Any, wanted: bool, instance: Any, schema: Any) -> _Found:
    """Do what the library does, which compares each item with each, in one pass."""
    if wanted and validator.is_type(instance, "array"):
        _spend(STEP * len(instance))
        if len({json.dumps(_as_equal(item), sort_keys=True) for item in instance}) < len(instance):
            yield ValidationError(f"{instance!r} has non-unique elements")


def _as_equal(value: Any) -> Any:
    """Return the value with whole numbers in one form: to JSON Schema 1 and 1.0 are the same."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: _as_equal(item) for name, item in value.items()}
    return [_as_equal(item) for item in value] if isinstance(value, list) else value


_Validator: Any = validators.extend(
    Draft202012Validator,
    {
        **{name: _counted(check) for name, check in Draft202012Validator.VALIDATORS.items()},
        "pattern": _counted(_pattern),
        "patternProperties": _counted(_pattern_properties),
        "additionalProperties": _counted(_additional_properties),
        "uniqueItems": _counted(_unique),
    },
)


def validator(schema: Mapping[str, Any]) -> Any:
    """Return a validator that fetches nothing: a definition must not make the server read other addresses."""
    return _Validator(schema, registry=Registry())


def check_schema(schema: Mapping[str, Any]) -> None:
    """Raise SchemaError unless this is a JSON Schema; its patterns are looked at by `wrong_patterns`."""
    Draft202012Validator.check_schema(schema, format_checker=FormatChecker(formats=()))


def wrong_patterns(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str, tuple[str | int, ...]]]:
    """Yield what is wrong with the patterns in a schema, and where."""
    if isinstance(value, Mapping):
        if "unevaluatedProperties" in value and "patternProperties" in value:
            yield "Beside `patternProperties` stands `additionalProperties`, not `unevaluatedProperties`.", path
        given = value.get("pattern")
        patterns: Sequence[Any] = [given] if isinstance(given, str) else []
        named = value.get("patternProperties")
        for pattern in [*patterns, *(named if isinstance(named, Mapping) else ())]:
            if reason := wrong_with(pattern):
                yield reason, (*path, "pattern" if pattern is given else "patternProperties")
        for key, item in value.items():
            yield from wrong_patterns(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from wrong_patterns(item, (*path, index))

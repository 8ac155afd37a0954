"""Error messages for wrong arguments, in words for people who know neither Python nor pydantic."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

# The first part of a kind of error, as pydantic calls it, and the sentence for all kinds that begin so; the first that fits
# counts. `{…}` stands for what the kind says of itself.
_SENTENCES: tuple[tuple[str, str], ...] = (
    ("int_from_float", "Give a whole number, such as 5."),
    ("int_parsing_size", "Give a smaller number: this one has too many digits."),
    ("int_", "Give a whole number, such as 5."),
    ("finite_number", "Give a number that is finite."),
    ("float_", "Give a number, such as 0.5."),
    ("complex_", "Give a complex number, such as 1+2j."),
    ("bool_", "Give true or false."),
    ("string_too_short", "Write at least {min_length} characters."),
    ("string_too_long", "Write at most {max_length} characters."),
    ("string_pattern", "Write it so that it fits the pattern {pattern}."),
    ("string_not_ascii", "Write it in plain letters without accents (ASCII)."),
    ("string_", "Give a text."),
    ("bytes_too_short", "Give at least {min_length} bytes."),
    ("bytes_too_long", "Give at most {max_length} bytes."),
    ("bytes_", "Give a text."),
    ("too_short", "Give at least {min_length} entries; there are {actual_length}."),
    ("too_long", "Give at most {max_length} entries; there are {actual_length}."),
    ("greater_than_equal", "Give {ge} or more."),
    ("greater_than", "Give more than {gt}."),
    ("less_than_equal", "Give {le} or less."),
    ("less_than", "Give less than {lt}."),
    ("multiple_of", "Give a multiple of {multiple_of}."),
    ("decimal_max_digits", "Give at most {max_digits} digits in all."),
    ("decimal_max_places", "Give at most {decimal_places} digits after the point."),
    ("decimal_whole_digits", "Give at most {whole_digits} digits before the point."),
    ("decimal_", "Give a number, such as 9.90."),
    ("date_past", "Give a day that is over."),
    ("date_future", "Give a day to come."),
    ("date_", "Give a day such as 2026-01-31."),
    ("datetime_past", "Give a moment that is over."),
    ("datetime_future", "Give a moment to come."),
    ("datetime_", "Give day and time, such as 2026-01-31T09:30."),
    ("timezone_naive", "Give day and time without a zone, such as 2026-01-31T09:30."),
    ("timezone_", "Give day and time with the zone, such as 2026-01-31T09:30+01:00."),
    ("time_delta_", "Give a duration, such as 01:30:00 or PT1H30M; in a form also 1h 30m."),
    ("time_", "Give a time of day, such as 09:30."),
    ("uuid_", "Give a UUID, such as 123e4567-e89b-12d3-a456-426614174000."),
    ("enum", "Choose {expected}."),
    ("literal_error", "Choose {expected}."),
    ("union_tag", "Choose one of the kinds {expected_tags}."),
    ("dict_", 'Give an object, such as {{"name": 1}}.'),
    ("mapping_", 'Give an object, such as {{"name": 1}}.'),
    ("model_", 'Give an object, such as {{"name": 1}}.'),
    ("dataclass_", 'Give an object, such as {{"name": 1}}.'),
    ("json_", "Give JSON in a text."),
    ("list_", "Give a list, such as [1, 2]."),
    ("tuple_", "Give a list, such as [1, 2]."),
    ("set_", "Give a list, such as [1, 2]."),
    ("frozen_set_", "Give a list, such as [1, 2]."),
    ("iterable_", "Give a list, such as [1, 2]."),
    ("iteration_", "Give a list, such as [1, 2]."),
    ("url_", "Give an address, such as https://example.org/."),
    ("none_required", "Leave it out, or give null."),
    ("missing", "This argument is needed."),
    ("recursion_loop", "Give a value that does not hold itself."),
)
_OTHER = "This does not fit. Give a value of the kind that the task's description names."
# What pydantic puts before the words of a task's own check.
_OWN = re.compile(r"^(Value error|Assertion failed), ")
# Steps of a place that name no part of the value: a branch of a union, a check that is run around it.
_TECHNICAL = re.compile(
    r"^(function|union|nullable|lax-or-strict|json-or-python|is-instance|constrained|tagged|chain)\b"
)
_BRANCHES = frozenset(
    {"int", "float", "str", "bool", "bytes", "decimal", "date", "datetime", "time", "timedelta", "uuid", "none", "any"}
)


def sentence(error: Mapping[str, Any]) -> str:
    """Return what would be right in place of a value that pydantic refuses; `error` is one of its `errors()`."""
    kind = str(error["type"])
    if kind in {"value_error", "assertion_error"}:
        return _closed(_OWN.sub("", str(error["msg"])))
    for begin, text in _SENTENCES:
        if kind.startswith(begin):
            return text.format_map(_Context(error.get("ctx") or {}))
    return _OTHER


def place(steps: Sequence[str]) -> str:
    """Return where inside an argument the value stands, such as `Entry 2`; empty for the argument itself."""
    shown = [step for step in steps if not _TECHNICAL.match(step) and step.partition("[")[0] not in _BRANCHES]
    return ", ".join(f"Entry {int(step) + 1}" if step.isdecimal() else step for step in shown)


class _Context(dict[str, Any]):
    """What an error says of itself; choices without the quotes of Python."""

    def __getitem__(self, key: str) -> Any:
        value = super().__getitem__(key)
        return re.sub(r"'([^']*)'", r"\1", value) if key in {"expected", "expected_tags"} else value

    def __missing__(self, key: str) -> str:
        return "…"


def _closed(text: str) -> str:
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."

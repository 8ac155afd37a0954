"""What cannot be kept as it is."""

import re

import pytest

from jobroom.arguments.storable import (
    DEEPEST,
    DEPTH,
    LONG_NUMBER,
    MOST_NAMES,
    MOST_VALUES,
    NAMES,
    NUMBER,
    TEXT,
    VALUES,
    WrongJson,
    parse,
    plain,
    unstorable,
)


def nested(depth: int) -> list:
    """Return a list in a list, so many of them."""
    value: list = []
    for _ in range(depth - 1):
        value = [value]
    return value


@pytest.mark.parametrize("value", ["", "ä😀", 10**400, 1.5, None, True, {"a": [{"b": "c"}]}, nested(DEEPEST), object()])
def test_what_can_be_kept_is_not_named(value):
    assert unstorable({"value": value}) == {}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("\x00", TEXT),
        ({"\ud800": 1}, TEXT),
        ([{"a": "x\udfff"}], TEXT),
        (float("nan"), NUMBER),
        ([1, (float("-inf"),)], NUMBER),
        (nested(DEEPEST + 1), DEPTH),
        (nested(100_000), DEPTH),
    ],
)
def test_the_reason_is_said_at_the_argument(value, reason):
    assert unstorable({"fine": 1, "value": value}) == {"value": [reason]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 3000 + "]" * 3000, "nested"),
        ("[" * 100_000, "nested"),
        ("9" * 1001, LONG_NUMBER),
        ('{"a": 1e999}', NUMBER),
        ("NaN", NUMBER),
        ('"\\ud800"', TEXT),
        ('{"\\u0000": 1}', TEXT),
        ("{" + ",".join(f'"k{n}": 1' for n in range(MOST_NAMES + 1)) + "}", NAMES),
        ("[" + ",".join("1" for _ in range(MOST_VALUES + 1)) + "]", VALUES),
    ],
)
def test_json_beyond_the_bounds_is_refused_with_a_sentence(text, said):
    with pytest.raises(WrongJson, match=re.escape(said)):
        parse(text)


@pytest.mark.parametrize("text", ["", "{", "[1,]", b"\xff"])
def test_what_is_no_json_is_no_value(text):
    with pytest.raises(ValueError):  # noqa: PT011 — each has a message of its own
        parse(text)


def test_json_within_the_bounds_is_read():
    assert parse('{"a": [1, 2.5, "ä", null, true]}') == {"a": [1, 2.5, "ä", None, True]}
    assert parse("9" * 1000) == int("9" * 1000)


def test_plain_texts_lose_only_what_no_database_holds():
    assert plain("a\x00b\ud800c\n\x1b") == "abc\n\x1b"

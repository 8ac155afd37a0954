"""No schema and no payload keeps the server busy."""

import time
from contextlib import suppress

import pytest

from jobroom.workflows.definitions import registry
from jobroom.workflows.definitions.bounded_schema import LARGEST_PATTERN, fits, size_of, wrong_with
from jobroom.workflows.definitions.parser import WrongDefinition
from jobroom.workflows.definitions.payloads import WrongPayload, filled, problems


def spent(work):
    """Return the seconds of the processor that it takes."""
    began = time.process_time()
    work()
    return time.process_time() - began


def schema(**properties):
    return {"type": "object", "properties": properties}


EVIL = ["(a+)+$", "^(a|a)*$", "^(a|aa)+$", "(.*a){12}", "^(([a-z])+.)+[A-Z]([a-z])+$", "(x+x+)+y"]


@pytest.mark.parametrize("pattern", EVIL)
def test_patterns_that_freeze_others_take_no_time(pattern):
    given = schema(a={"type": "string", "pattern": pattern})
    assert not list(problems(given))

    def work():
        for text in ("a" * 5000 + "!", "x" * 5000):
            with suppress(WrongPayload):
                filled(given, {"a": text})

    assert spent(work) < 1
    with pytest.raises(WrongPayload, match="does not fit"):
        filled(given, {"a": "!"})


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("(?=a)b", "look-around"),
        (r"(a)\1", "backreferences"),
        ("[", "unclosed"),
        ("a" * 501, "too large"),
        ("(.{0,100}){0,100}x", "too large"),
        (r"((\w{1,50}){1,50}){1,3}!", "too large"),
    ],
)
def test_a_pattern_that_cannot_be_is_refused_with_the_reason(pattern, said):
    assert said in wrong_with(pattern)
    for given in (schema(a={"pattern": pattern}), {"type": "object", "patternProperties": {pattern: {}}}):
        assert any(said in text for text, _ in problems(given))


@pytest.mark.parametrize(
    ("pattern", "size"),
    [
        ("abc", 3),
        ("a{3}", 3),
        ("(ab){4}c", 9),
        (r"[a-z]{2,5}\d{4}", 9),
        (r"\{3}", 3),
        ("[](]{2}", 2),
        ("((a{3}){4}){5}", 60),
    ],
)
def test_the_size_counts_repetitions_as_written_out(pattern, size):
    assert size_of(pattern) == size <= LARGEST_PATTERN


def test_patterns_are_sought_anywhere_as_in_json_schema():
    assert fits("b", "abc")
    assert not fits("^b", "abc")
    assert fits("^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$", "00000000-0000-0000-0000-000000000000")


def test_names_are_held_against_patterns_in_linear_time_too():
    given = {
        "type": "object", "patternProperties": {"^(a+)+$": {"type": "integer"}}, "additionalProperties": False,
    }  # fmt: skip
    assert filled(given, {"aaa": 1}) == {"aaa": 1}
    with pytest.raises(WrongPayload) as wrong:
        filled(given, {"aaa": "x", "b": 1})
    assert "aaa" in wrong.value.errors

    def work():
        with pytest.raises(WrongPayload):
            filled(given, {"a" * 3000 + "!": 1})

    assert spent(work) < 1


def test_a_schema_that_asks_for_too_many_steps_is_given_up():
    deep = {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)} | {"d40": {"type": "integer"}}
    given = {"type": "object", "$defs": deep, "properties": {"a": {"$ref": "#/$defs/d0"}}}

    def work():
        with pytest.raises(WrongPayload, match="would take too long"):
            filled(given, {"a": "x"})

    assert spent(work) < 15
    endless = {"type": "object", "properties": {"a": {"$ref": "#/properties/a"}}}
    with pytest.raises(WrongPayload, match="would take too long"):
        filled(endless, {"a": 1})


def test_unique_items_are_counted_in_one_pass():
    given = schema(a={"type": "array", "uniqueItems": True})
    items = [{"n": n} for n in range(9000)]
    assert spent(lambda: filled(given, {"a": items})) < 3
    for twice in ([1, 1.0], [{"a": 1}, {"a": 1.0}], [[1], [1]]):
        with pytest.raises(WrongPayload):
            filled(given, {"a": twice})
    filled(given, {"a": [1, True, "1", None, 0, False]})


def test_a_definition_with_such_a_pattern_is_not_kept(db):
    text = "name: evil\npayload: {properties: {a: {pattern: '(?=x)y'}}}\nnodes: {one: {task: demo.add, args: [1, 2]}}\n"
    with pytest.raises(WrongDefinition, match="look-around"):
        registry.keep(text, origin="a test")

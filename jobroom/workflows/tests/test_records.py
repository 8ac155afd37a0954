"""The records that the scripts work with."""

import json

import pytest

from jobroom.workflows.engine.parts import parts_of
from jobroom.workflows.engine.records import Lists, field, records, segments, wanted
from jobroom.workflows.graph import ITEM, Graph, Ref, When
from jobroom.workflows.tests.stored import node


def filled(parts, results):
    """Put the results in, as the scripts do."""
    return "".join(results[part] if at % 2 else part for at, part in enumerate(parts))


def test_a_text_without_results_is_one_piece():
    assert segments([1, {"a": "b"}]) == ['[1, {"a": "b"}]']


def test_results_go_where_they_are_referred_to():
    parts = segments([1, Ref(3), {"x": Ref(4)["a"][0]}, {ITEM: True}])
    texts = {"3": '{"deep": [1]}', '4/["a", 0]': '"ä"', "$item": "[7]"}
    assert json.loads(filled(parts, texts)) == [1, {"deep": [1]}, {"x": "ä"}, [7]]


def test_texts_of_people_are_no_holes():
    nasty = ["\x01", '\x010\x01"', "\\u0001", '"', "\\", "$item", "\x00", "\u2028"]
    parts = segments([*nasty, Ref(0)])
    assert parts[1::2] == ["0"]
    assert json.loads(filled(parts, {"0": "null"})) == [*nasty, None]


def test_only_wanted_parts_are_kept():
    graph = Graph(
        [node(0), node(1, 0, args=[Ref(0)["a"], Ref(0)["a"]]), node(2, 0, args=[Ref(0)["b"][1]])], result=[Ref(2)]
    )
    assert wanted(graph) == {0: [("a",), ("b", 1)], 2: [()]}


def test_parts_of_a_result_have_the_names_of_their_references():
    value = {"a": [1, {"b": None}]}
    found = parts_of("5", value, [(), ("a", 1, "b")])
    assert found == {"5": json.dumps(value), field(Ref(5, ("a", 1, "b"))): "null"}


@pytest.mark.parametrize(
    ("value", "path", "message"),
    [
        ({"x": 1}, ("y",), r"!A result that this node needs has no \['y'\]; it is an object with x\."),
        ([1, 2], (5,), r"no \[5\]; it is a list of 2\."),
        ("text", ("a",), r"no \['a'\]; it is str 'text'\."),
        ({"a": {}}, ("a", "b"), r"no \['a'\]\['b'\]; it is an object with no keys\."),
        ({"a": object()}, ("a",), "cannot be written as JSON"),
    ],
)
def test_a_part_that_is_not_there_says_so(value, path, message):
    (text,) = parts_of("0", value, [path]).values()
    assert text.startswith("!")
    import re

    assert re.search(message, text)


def test_the_list_of_a_queue_is_kombus():
    lists = Lists(sep="\x06\x16", steps=(0, 3, 6, 9))
    assert [lists.key("q", p) for p in (0, 2, 3, 7, 9)] == ["q", "q", "q\x06\x163", "q\x06\x166", "q\x06\x169"]


def test_a_record_says_who_waits_and_on_what_condition():
    options = {"queue": "default", "countdown": 2, "expires": 60}
    graph = Graph(
        [
            node(0, options=options),
            node(1, 0, options={"queue": "default"}),
            node(2, 0, 1, join="any", options={"queue": "default", "expires": "2030-01-01T00:00:00+00:00"}),
            node(3, 1, when=When.FAILURE, options={"queue": "default", "retry": [3, 1.0, 2.0], "time_limit": 9}),
        ]
    )
    first, second, third, fourth = map(json.loads, records(graph, None))
    assert first["c"] == [[1, 0, 1, 1], [2, 0, 1, 2]]
    assert (first["z"], first["v"]) == (2.0, 60.0)
    assert second["y"] == 1
    assert json.loads(f"{{{third['h']}}}")["expires"] == "2030-01-01T00:00:00+00:00"
    assert "v" not in third
    headers = json.loads(f"{{{fourth['h']}}}")
    assert headers["retry_policy"] == [3, 1.0, 2.0]
    assert headers["timelimit"] == [9, None]
    assert "q" not in first, "without lists the worker sends the message itself"

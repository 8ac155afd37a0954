"""All that is wrong with a definition is reported at once, arguments included, each with line and column."""

import pytest

from jobroom.workflows.definitions.parser import WrongDefinition
from jobroom.workflows.definitions.recipe import Recipe

TEXT = """\
name: wrong
payload: {properties: {a: {type: integer}}}
nodes:
  many: {task: demo.add, args: [1, 2, 3]}
  few: {task: demo.add, args: [1]}
  kind: {task: demo.add, args: [1, two]}
  name: {task: demo.add, args: [1], kwargs: {why: 2}}
  twice: {task: demo.add, args: [1, 2], kwargs: {x: 2}}
  gone: {task: demo.addd, args: [1, 2]}
  later: {task: demo.add, args: ["${payload.a}", "${good.result}"]}
  good: {task: demo.add, args: [1, 2]}
  needs: {task: demo.add, args: ["${gone.result}", "${payload.b}"]}
"""


def lines(text: str) -> list[str]:
    with pytest.raises(WrongDefinition) as caught:
        Recipe(text).check()
    assert str(caught.value) == "\n".join(caught.value.errors["text"])
    return list(caught.value.errors["text"])


def test_all_that_is_wrong_is_said_at_once_in_the_order_of_the_text():
    found = lines(TEXT)
    assert [text.partition(":")[0] for text in found] == [
        "Line 4, column 26", "Line 5, column 9", "Line 6, column 36", "Line 7, column 10", "Line 7, column 46",
        "Line 8, column 50", "Line 9, column 10", "Line 12, column 52",
    ]  # fmt: skip
    said = "\n".join(found)
    for part in (
        "`nodes.many.args`: The task takes 2 arguments", "This argument is needed", "Give a number, such as 0.5.",
        "The task has no such argument", "is given in `args` already", "no task called “demo.addd”", "The payload has no b",
    ):  # fmt: skip
        assert part in said


def test_what_has_the_wrong_shape_is_all_said_too():
    found = lines("name: wrong\nnodes:\n  a: {tsak: demo.add}\n  b: {task: demo.add, queeue: x}\ntitel: 1\n")
    assert len(found) == 3
    assert ["titel" in text or "tsak" in text or "queeue" in text for text in found] == [True] * 3


def test_unknown_needs_and_names_are_all_said():
    found = lines(
        "name: wrong\nnodes:\n  a: {task: demo.add, args: [1, 2], needs: x}\n  b: {task: demo.add, args: [1, 2], needs: y}\n"
    )
    assert len(found) == 2


def test_arguments_of_a_fan_out_count_its_item():
    text = "name: each\nnodes:\n  list: {task: demo.add, args: [1, 2]}\n  all: {task: demo.add, each: '${list.result}', args: [%s]}\n"
    Recipe(text % "1").check()
    many = lines(text % "1, 2")[0]
    assert "The task takes 2 arguments (x, y), here are 3: the item of `each` is the first argument" in many
    (named,) = lines((text % "1").replace("args: [1]", "kwargs: {x: 1, y: 2}"))
    assert "“x” is given already: the item of `each` is the first argument, unless ${item}" in named
    Recipe(text % "2, '${item}'").check()


def test_handlers_are_looked_at_as_nodes_are():
    text = "name: x\nnodes:\n  a: {task: demo.add, args: [1, 2]}\nfinally: {task: demo.add, kwargs: {a: 1}}\n"
    found = lines(text)
    assert all("finally" in line for line in found)

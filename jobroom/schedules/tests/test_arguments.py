"""Arguments against signatures."""

from typing import Annotated, Any, Literal

import pytest

from jobroom.arguments.redaction import Secret
from jobroom.schedules.services import argument_problems
from jobroom.tasks import exclusive_task


class _Task:
    def __init__(self, function):
        self.run = function


def _check(function, args=(), kwargs=None):
    return [(p.field, p.argument, p.text) for p in argument_problems(_Task(function), args, kwargs or {})]


def plain(count: int, name: str = "x", *, ratio: float = 0.5):
    pass


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [([1], {}), ([], {"count": 1}), ([1, "a"], {"ratio": 2}), ([], {"count": 0, "name": "", "ratio": 0.1})],
)
def test_a_call_that_fits_has_no_problem(args, kwargs):
    assert _check(plain, args, kwargs) == []


def test_a_missing_argument_is_named_with_what_to_add():
    assert _check(plain) == [("kwargs", "count", '“count” is missing: add "count": and its value.')]


def test_an_unknown_argument_is_named_with_the_nearest():
    assert _check(plain, [1], {"nmae": "x"}) == [
        ("kwargs", "nmae", "“nmae” is not an argument of the task. Did you mean “name”?")
    ]


def test_a_task_without_arguments_says_to_remove_what_is_given():
    def nothing():
        pass

    [(field, _, text)] = _check(nothing, [], {"x": 1})
    assert field == "kwargs"
    assert text.endswith("Remove it.")
    assert _check(nothing, [1, 2]) == [("args", "", "The task takes none, but 2 are given: remove the last 2.")]


def test_too_many_by_position():
    [(field, _, text)] = _check(plain, [1, "a", 3])
    assert field == "args"
    assert "at most 2 (count, name), but 3 are given: remove the last 1." in text


def test_an_argument_given_twice():
    [(field, name, text)] = _check(plain, [1], {"count": 2})
    assert (field, name) == ("kwargs", "count")
    assert "twice" in text


def test_a_positional_only_argument_belongs_in_the_list():
    def only(a, /, b=1):
        pass

    assert ("args", "a", "“a” is missing: add its value to the list.") in _check(only)
    assert any(name == "a" and "not an argument" in text for _, name, text in _check(only, [], {"a": 1}))


def test_open_ended_signatures_take_anything():
    def anything(*args: Any, **kwargs: Any):
        pass

    assert _check(anything, [1, 2], {"a": 1}) == []


@pytest.mark.parametrize(
    ("hint", "good", "bad"),
    [
        (int, 5, True),
        (int, 5, "5"),
        (int, 5, 5.0),
        (float, 5, True),
        (float, 0.5, "0.5"),
        (str, "a", 1),
        (bool, True, 1),
        (list[int], [1], {"a": 1}),
        (tuple[int, int], [1, 2], "1,2"),
        (dict[str, int], {"a": 1}, [1]),
        (int | None, None, "a"),
        (Annotated[str, Secret], "a", 1),
        (Literal["a", "b"], "a", "c"),
        (Literal[1], 1, True),
    ],
)
def test_type_hints_are_checked(hint, good, bad):
    def task(value):
        pass

    task.__annotations__["value"] = hint
    assert _check(task, [good]) == []
    [(field, name, text)] = _check(task, [bad])
    assert (field, name) == ("args", "value")
    assert "“value” must be" in text


def test_a_type_that_json_does_not_have_is_left_to_the_task():
    class Colour:
        pass

    def task(value, other):
        pass

    task.__annotations__.update(value=Colour, other=int | Colour)
    assert _check(task, ["red", "blue"]) == []


def test_hints_that_cannot_be_read_check_nothing():
    def task(value):
        pass

    task.__annotations__["value"] = "NoSuchType"
    assert _check(task, [1]) == []


def test_the_signature_of_an_exclusive_class_based_task_is_that_of_its_run():
    def plain_run(self, days: int = 1):
        pass

    class Exclusive:
        run = exclusive_task(task_name="Exclusive", lock_id="schedules-test")(plain_run)

    assert [p.text for p in argument_problems(Exclusive(), [], {"days": "1"})] == [
        '“days” must be a whole number such as 5, not "1".'
    ]
    assert argument_problems(Exclusive(), [3], {}) == []

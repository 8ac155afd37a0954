"""What is wrong with an argument is said in plain sentences that name the remedy: none of them is pydantic's own."""

import datetime
import decimal
import enum
import re
import uuid
from typing import Annotated, Any, Literal, get_args

import pytest
from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen, MultipleOf
from pydantic_core import core_schema

from jobroom.arguments import Schema, WrongArguments
from jobroom.arguments.messages import sentence

FOREIGN = re.compile(
    r"Input|should be|should have|unable to parse|valid |instance of|pydantic|timedelta|literal|\.\.\B", re.I
)
KINDS = get_args(core_schema.ErrorType)


@pytest.mark.parametrize("kind", KINDS)
def test_no_kind_of_error_speaks_as_pydantic_does(kind):
    text = sentence({"type": kind, "msg": "Value error, give more", "ctx": {}})
    assert not FOREIGN.search(text), text
    assert text.endswith(".")
    assert "Value error" not in text


class Flavour(enum.Enum):
    VANILLA = "vanilla"


def run(
    count: Annotated[int, Ge(1), Le(10)] = 1,
    weight: Annotated[float, Gt(0), Lt(9)] = 1.0,
    step: Annotated[int, MultipleOf(5)] = 5,
    price: decimal.Decimal = decimal.Decimal(1),
    yes: bool = False,
    word: Annotated[str, MinLen(2), MaxLen(5)] = "ab",
    day: datetime.date | None = None,
    moment: datetime.datetime | None = None,
    at: datetime.time | None = None,
    pause: datetime.timedelta | None = None,
    ticket: uuid.UUID | None = None,
    flavour: Flavour = Flavour.VANILLA,
    vessel: Literal["cup", "cone"] = "cup",
    names: Annotated[list[int], MaxLen(2)] = [],  # noqa: B006
    extra: dict[str, int] | None = None,
    either: int | str = 1,
) -> None: ...


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("count", "x", "Give a whole number, such as 5."),
        ("count", 11, "Give 10 or less."),
        ("count", 0, "Give 1 or more."),
        ("count", True, "Give a number, not true or false."),
        ("weight", 0, "Give more than 0.0."),
        ("weight", 9, "Give less than 9.0."),
        ("step", 3, "Give a multiple of 5."),
        ("price", "zzz", "Give a number, such as 9.90."),
        ("yes", "perhaps", "Give true or false."),
        ("word", "a", "Write at least 2 characters."),
        ("word", "abcdef", "Write at most 5 characters."),
        ("day", "zzz", "Give a day such as 2026-01-31."),
        ("moment", "zzz", "Give day and time, such as 2026-01-31T09:30."),
        ("at", "zzz", "Give a time of day, such as 09:30."),
        ("pause", "zzz", "Give a duration, such as 01:30:00 or PT1H30M; in a form also 1h 30m."),
        ("ticket", "zzz", "Give a UUID, such as 123e4567-e89b-12d3-a456-426614174000."),
        ("flavour", "zzz", "Choose vanilla."),
        ("vessel", "zzz", "Choose cup or cone."),
        ("names", "zzz", "Give a list, such as [1, 2]."),
        ("names", [1, "x"], "Entry 2: Give a whole number, such as 5."),
        ("names", [1, 2, 3], "Give at most 2 entries; there are 3."),
        ("extra", "zzz", 'Give an object, such as {"name": 1}.'),
        ("extra", {"a": "x"}, "a: Give a whole number, such as 5."),
    ],
)
def test_a_wrong_value_gets_the_remedy(name: str, value: Any, text: str):
    with pytest.raises(WrongArguments) as caught:
        Schema(run).wire({name: value})
    assert caught.value.errors == {name: [text]}


def test_each_branch_of_a_union_is_said_once():
    with pytest.raises(WrongArguments) as caught:
        Schema(run).wire({"either": [1]})
    assert caught.value.errors == {"either": ["Give a whole number, such as 5.", "Give a text."]}

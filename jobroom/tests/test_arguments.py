"""One schema from the signature: parameters, checking, the wire and back."""

import datetime
import decimal
import enum
import uuid
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Ge, Le
from django.contrib.auth.models import Group
from django.db.models import QuerySet

from jobroom.arguments import Argument, File, Schema, WrongArguments
from jobroom.arguments.redaction import Secret


class Colour(enum.Enum):
    RED = "r"
    DARK_BLUE = "b"


def run(
    name: str,
    count: Annotated[int, Ge(1), Le(5), Argument(title="How many", help="One to five", group="Size")] = 2,
    colour: Colour = Colour.RED,
    way: Literal["up", "down"] = "up",
    when: datetime.datetime | None = None,
    pause: datetime.timedelta = datetime.timedelta(minutes=5),
    price: decimal.Decimal = decimal.Decimal("1.5"),
    numbers: list[int] = [],  # noqa: B006 — a default as people write it
    extra: dict | None = None,
    key: uuid.UUID | None = None,
    code: Annotated[str, Secret] = "",
    anything=3,
):
    return None


@pytest.fixture
def schema():
    return Schema(run)


def test_each_hint_has_its_kind(schema):
    assert {p.name: p.kind for p in schema.parameters} == {
        "name": "text", "count": "integer", "colour": "choice", "way": "choice", "when": "datetime",
        "pause": "duration", "price": "decimal", "numbers": "list", "extra": "json", "key": "uuid", "code": "text",
        "anything": "json",
    }  # fmt: skip


def test_what_a_form_needs_is_there(schema):
    parameters = {p.name: p for p in schema.parameters}
    assert parameters["name"].required
    assert not parameters["count"].required
    assert (parameters["count"].title, parameters["count"].argument.group) == ("How many", "Size")
    assert (parameters["count"].schema["minimum"], parameters["count"].schema["maximum"]) == (1, 5)
    assert parameters["colour"].choices == [("r", "Red"), ("b", "Dark blue")]
    assert parameters["pause"].default == "PT5M"
    assert parameters["when"].nullable
    assert parameters["numbers"].item == "integer"
    assert parameters["code"].secret


def test_texts_become_what_the_hints_say(schema):
    values = schema.validate({"name": "x", "count": "3", "colour": "b", "pause": "PT1H", "price": "2.50"})
    assert values == {
        "name": "x", "count": 3, "colour": Colour.DARK_BLUE, "pause": datetime.timedelta(hours=1),
        "price": decimal.Decimal("2.50"),
    }  # fmt: skip


def test_the_wire_is_json_and_comes_back(schema):
    sent = schema.wire({"name": "x", "colour": Colour.RED, "when": datetime.datetime(2026, 1, 2, 3, 4)})
    assert sent == {"name": "x", "colour": "r", "when": "2026-01-02T03:04:00"}
    args, kwargs = schema.received((), sent)
    assert args == []
    assert kwargs["colour"] is Colour.RED
    assert kwargs["when"] == datetime.datetime(2026, 1, 2, 3, 4)


def test_every_wrong_argument_is_named(schema):
    with pytest.raises(WrongArguments) as caught:
        schema.validate({"count": 9, "colour": "z", "numbers": [1, "x"], "wey": "up", "nonsense": 1})
    errors = caught.value.errors
    assert errors["name"] == ["This argument is needed."]
    assert errors["count"] == ["Give 5 or less."]
    assert errors["wey"] == ["The task has no such argument. Did you mean way?"]
    assert errors["numbers"][0].startswith("Entry 2: Give a whole number")
    assert set(errors) == {"name", "count", "colour", "numbers", "wey", "nonsense"}


def test_true_is_not_a_number(schema):
    with pytest.raises(WrongArguments, match="not true or false"):
        schema.validate({"name": "x", "count": True})


def test_plain_tasks_get_their_arguments_untouched():
    def plain(a: int, b: list[int]):
        return None

    args = (1, [2])
    assert Schema(plain).received(args, {"x": 1}) == (args, {"x": 1})


def test_order_and_groups_are_the_authors():
    def ordered(b: Annotated[int, Argument(order=2)], a: Annotated[int, Argument(order=1)]):
        return None

    assert [p.name for p in Schema(ordered).parameters] == ["a", "b"]


def test_a_plain_text_is_the_help():
    def helped(a: Annotated[int, "How many."]):
        return None

    assert Schema(helped).parameters[0].argument.help == "How many."


def test_keyword_arguments_without_names_are_let_through():
    def open_ended(a: int, **options: Any):
        return None

    assert Schema(open_ended).validate({"a": 1, "b": 2}) == {"a": 1, "b": 2}


def test_positional_only_arguments_travel_by_position():
    def positional(a: int, /, b: int = 2):
        return None

    assert Schema(positional).call({"a": 1, "b": 3}) == ([1], {"b": 3})


def test_a_hint_that_no_one_understands_is_passed_as_it_comes():
    class Odd:
        pass

    def strange(a: Odd, b: "Unknown" = None):  # noqa: F821 — on purpose
        return None

    assert Schema(strange).validate({"a": "x"}) == {"a": "x"}


def test_names_that_pydantic_reserves_are_fine():
    def reserved(model_config: int, schema: int, _hidden: int = 1):
        return None

    assert Schema(reserved).wire({"model_config": 1, "schema": 2, "_hidden": 3}) == {
        "model_config": 1, "schema": 2, "_hidden": 3,
    }  # fmt: skip


def test_too_many_positional_arguments_are_refused(schema):
    with pytest.raises(WrongArguments, match="Too many positional arguments"):
        schema.bind(range(20), {})


@pytest.mark.django_db
def test_rows_travel_as_ids():
    def touch(group: Group, others: Annotated[QuerySet, Group], some: list[Group], maybe: Group | None = None):
        return None

    schema = Schema(touch)
    one, two = (Group.objects.create(name=name) for name in "ab")
    sent = schema.wire({"group": one, "others": [one.pk, two.pk], "some": [two]})
    assert sent == {"group": one.pk, "others": [one.pk, two.pk], "some": [two.pk]}
    _, kwargs = schema.received((), sent)
    assert kwargs["group"] == one
    assert set(kwargs["others"].filter(name="a")) == {one}
    assert kwargs["some"] == [two]
    assert [(p.kind, p.model) for p in schema.parameters] == [
        ("model", Group), ("models", Group), ("models", Group), ("model", Group),
    ]  # fmt: skip
    with pytest.raises(WrongArguments, match="There is no group 999"):
        schema.validate({"group": 999, "others": [], "some": []})
    with pytest.raises(WrongArguments, match="There is no group 999"):
        schema.validate({"group": one.pk, "others": [999], "some": []})
    with pytest.raises(WrongArguments, match="others: Give a list of ids"):
        schema.validate({"group": one.pk, "others": "x", "some": []})


def test_files_travel_as_ids(monkeypatch):
    class Stored(File):
        def __init__(self, id):
            self.id = id

    def load(id):
        if id != "f1":
            raise ValueError(f"There is no file {id}.")
        return Stored(id)

    def inspect(mesh: Annotated[File, Argument(suffixes=(".ply",))]):
        return None

    monkeypatch.setattr(File, "load", staticmethod(load))
    schema = Schema(inspect)
    assert schema.parameters[0].kind == "file"
    assert schema.validate({"mesh": "f1"})["mesh"].id == "f1"
    assert schema.wire({"mesh": "f1"}) == {"mesh": "f1"}
    with pytest.raises(WrongArguments, match="There is no file f2"):
        schema.validate({"mesh": "f2"})
    assert schema.json_schema()["properties"]["mesh"]["format"] == "uuid"

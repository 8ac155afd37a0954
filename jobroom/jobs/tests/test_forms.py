"""The launch form: every kind of argument shown, read and checked."""

import datetime
import enum
from typing import Annotated, Literal

import pytest
from annotated_types import Ge, Le
from django.contrib.auth.models import Group
from django.utils import timezone

from image.celery import app
from jobroom.arguments import Argument
from jobroom.arguments.redaction import Secret
from jobroom.jobs.forms import WhenForm, launch_form


class Colour(enum.Enum):
    RED = "r"
    BLUE = "b"


SIZES = {"shirt": [("s", "Small"), ("l", "Large")], "hat": [(57, "57 cm"), (58, "58 cm")]}


@pytest.fixture
def task():
    @app.task(name="scratch.form", shared=False)
    def form(
        name: str,
        count: Annotated[int, Ge(1), Le(5), Argument(title="How many", help="One to five", group="Size")] = 2,
        colour: Colour = Colour.RED,
        way: Literal["up", "down"] | None = None,
        pause: datetime.timedelta = datetime.timedelta(minutes=90),
        when: datetime.datetime | None = None,
        numbers: list[int] = [],  # noqa: B006 — as people write it
        extra: dict | None = None,
        loud: bool = True,
        code: Annotated[str, Secret] = "",
    ):
        return None

    yield form
    app.tasks.pop("scratch.form")


@pytest.fixture
def dependent():
    @app.task(name="scratch.dependent", shared=False)
    def dependent(
        what: Literal["shirt", "hat"] = "shirt",
        size: Annotated[
            str | int, Argument(choices=lambda answers: SIZES.get(answers.get("what") or "shirt", []))
        ] = "s",
        brim: Annotated[int | None, Argument(visible=lambda answers: answers.get("what") == "hat")] = None,
    ):
        return None

    yield dependent
    app.tasks.pop("scratch.dependent")


def filled(task, **answers):
    return launch_form(task, None, data={"colour": "r", "pause": "1h 30m", "loud": "on", **answers})


def test_each_kind_has_its_widget(task):
    html = launch_form(task, None).as_div()
    for part in (
        'type="number"', 'min="1"', 'max="5"', 'type="datetime-local"', "One a line", 'type="password"',
        'type="checkbox"', '<option value="b">Blue</option>', 'value="1h 30m"', "How many", "One to five",
    ):  # fmt: skip
        assert part in html, part


def test_answers_become_arguments(task):
    form = filled(task, name="x", count="3", colour="b", numbers="1\n2\n", extra='{"a": 1}', way="", when="")
    assert form.is_valid(), form.errors
    assert form.arguments() == {
        "name": "x", "count": "3", "colour": "b", "way": None, "pause": datetime.timedelta(minutes=90), "when": None,
        "numbers": ["1", "2"], "extra": {"a": 1}, "loud": True,
    }  # fmt: skip
    assert form.schema.wire(form.arguments())["numbers"] == [1, 2]


def test_an_empty_field_uses_the_tasks_default(task):
    form = filled(task, name="x", count="")
    assert form.is_valid(), form.errors
    assert "count" not in form.arguments()


def test_an_unticked_box_is_no(task):
    form = launch_form(task, None, data={"name": "x", "colour": "r", "pause": "5m"})
    assert form.is_valid(), form.errors
    assert form.arguments()["loud"] is False


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("name", "", "This argument is needed."),
        ("count", "9", "Give 5 or less"),
        ("count", "many", "Give a whole number"),
        ("colour", "green", "Choose r or b"),
        ("extra", "{", "This is not JSON"),
        ("numbers", "1\nx", "Entry 2: Give a whole number"),
        ("pause", "long", "duration|timedelta"),
        ("pause", "99999999999999999999d", "longer than a duration"),
        ("pause", "²d", "duration|timedelta"),
        ("name", "a\x00b", "U[+]0000"),
        ("extra", "[" * 100_000, "nested too deeply"),
        ("extra", '{"a": ' * 150 + "1" + "}" * 150, "nested deeper than 100"),
        ("extra", '{"a": NaN}', "too large, or is none"),
        ("extra", '{"a": [1e999]}', "too large, or is none"),
        ("extra", r'{"a": "\ud800"}', "surrogate"),
        ("extra", r'{"\u0000": 1}', "U[+]0000"),
    ],
)
def test_errors_go_to_their_field(task, field, value, says):
    form = filled(task, **{"name": "x", field: value})
    assert not form.is_valid()
    assert list(form.errors) == [field]
    import re

    assert re.search(says, form.errors[field][0])


def test_groups_keep_the_order_of_the_arguments(task):
    assert [title for title, _ in launch_form(task, None).groups()] == ["", "Size"]


def test_a_form_starts_with_what_it_is_given(task):
    html = launch_form(task, None, initial={"name": "again", "numbers": [4, 5], "colour": "b"}).as_div()
    assert 'value="again"' in html
    assert "4\n5" in html
    assert '<option value="b" selected>' in html


def test_choices_and_visibility_follow_the_other_answers(dependent):
    shirt = launch_form(dependent, None)
    assert shirt.depends
    assert "brim" not in shirt.fields
    assert "Small" in shirt.as_div()
    hat = launch_form(dependent, None, data={"what": "hat", "size": "58", "brim": "7"})
    assert hat.is_valid(), hat.errors
    assert hat.arguments() == {"what": "hat", "size": 58, "brim": "7"}


def test_what_is_not_offered_now_cannot_be_chosen(dependent):
    form = launch_form(dependent, None, data={"what": "hat", "size": "s"})
    assert not form.is_valid()
    assert form.errors["size"] == ["“s” is not offered now. Choose one of the list."]


@pytest.mark.django_db
def test_rows_are_chosen_from_a_list():
    one = Group.objects.create(name="curators")

    @app.task(name="scratch.rows", shared=False)
    def rows(group: Group, groups: list[Group]):
        return None

    try:
        form = launch_form(rows, None, data={"group": str(one.pk), "groups": [str(one.pk)]})
        assert "curators" in form.as_div()
    finally:
        app.tasks.pop("scratch.rows")


@pytest.mark.django_db
def test_a_task_may_bring_its_own_form():
    from django import forms

    class Own(forms.Form):
        x = forms.IntegerField(max_value=3, help_text="Small")

    @app.task(name="scratch.own", shared=False, form=Own)
    def own(x: int):
        return None

    try:
        assert "Small" in launch_form(own, None).as_div()
        assert launch_form(own, None, data={"x": "2"}).is_valid()
        wrong = launch_form(own, None, data={"x": "4"})
        assert list(wrong.errors) == ["x"]
    finally:
        app.tasks.pop("scratch.own")


@pytest.mark.django_db
class TestWhen:
    def form(self, staff, **answers):
        task = app.tasks["demo.echo"]
        return WhenForm(task, staff, {f"launch-{name}": value for name, value in {"when": "now", **answers}.items()})

    def test_now_needs_nothing(self, staff):
        form = self.form(staff, tags="a, b,")
        assert form.is_valid(), form.errors
        assert form.options() == {
            "queue": "", "run_after": None, "priority": None, "note": "", "caching": "", "tags": ["a", "b"],
        }  # fmt: skip

    def test_later_needs_a_time_in_the_future(self, staff):
        assert "run_after" in self.form(staff, when="later").errors
        assert "has passed" in self.form(staff, when="later", run_after="2020-01-01T10:00").errors["run_after"][0]
        tomorrow = timezone.now() + datetime.timedelta(days=1)
        form = self.form(staff, when="later", run_after=tomorrow.strftime("%Y-%m-%dT%H:%M"))
        assert form.is_valid(), form.errors
        assert form.options()["run_after"] > timezone.now()

    def test_repeating_needs_a_schedule(self, staff):
        assert "cron" in self.form(staff, when="repeat").errors

    def test_only_allowed_queues_can_be_chosen(self, staff, ada):
        assert self.form(staff, queue="heavy").is_valid()
        assert "queue" in self.form(ada, queue="heavy").errors


def test_a_choice_may_be_a_plain_value_and_is_its_own_label():
    @app.task(name="scratch.plain", shared=False)
    def plain(size: Annotated[int | str, Argument(choices=lambda answers: ["small", 7, ("l", "Large")])] = 7):
        return None

    try:
        shown = str(launch_form(plain, None)["size"])
    finally:
        app.tasks.pop("scratch.plain")
    assert [f">{label}</option>" in shown for label in ("small", "7", "Large")] == [True] * 3


def test_all_that_is_wrong_is_reported_at_once(task):
    form = filled(task, name="x", count="9", extra="{", pause="soon")
    assert not form.is_valid()
    assert set(form.errors) == {"count", "extra", "pause"}
    assert all(len(texts) == 1 for texts in form.errors.values())

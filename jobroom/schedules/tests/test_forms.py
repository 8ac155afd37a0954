"""Nothing that someone types reaches beat if beat cannot use it."""

from datetime import timedelta
from typing import Any, cast

import pytest
from celery import Task, current_app
from django.utils import timezone
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask

from jobroom.schedules import forms
from jobroom.schedules.services import sun

pytestmark = pytest.mark.django_db

TASK = "common.tasks.clearsessions"
NAME = "jobroom.schedules.tests.send"


class Send(Task[Any, Any]):
    """A task with arguments."""

    name = NAME

    def run(self, count: int, text: str = "", *, loud: bool = False):
        return f"{count} {text} {loud}"


@pytest.fixture
def task():
    """The task, registered for as long as the test runs."""
    current_app.tasks.register(Send())
    yield
    current_app.tasks.unregister(NAME)


@pytest.fixture
def every():
    return IntervalSchedule.objects.create(every=1, period="hours")


def _form(row=None, **fields):
    data = {"name": "Clean", "task": TASK, "args": "[]", "kwargs": "{}", "headers": "{}", "enabled": "on", **fields}
    data = {key: value.pk if hasattr(value, "pk") else value for key, value in data.items() if value is not None}
    return forms.PeriodicTaskForm(data, instance=row)


def test_a_schedule_that_fits_is_saved(every, task):
    form = _form(task=NAME, interval=every, args="[1]", kwargs='{"loud": true}', queue="heavy")
    assert form.is_valid(), form.errors
    row = form.save()
    assert (row.task, row.args, row.kwargs, row.queue) == (NAME, "[1]", '{"loud": true}', "heavy")


def test_empty_argument_fields_mean_none(every):
    form = _form(interval=every, args="", kwargs="", headers="")
    assert form.is_valid(), form.errors
    row = form.save()
    assert (row.args, row.kwargs, row.headers) == ("[]", "{}", "{}")


@pytest.mark.parametrize(
    ("fields", "name", "said"),
    [
        ({"args": "[1"}, "args", "not JSON"),
        ({"args": "[1"}, "args", "line 1, column 3"),
        ({"args": '{"a": 1}'}, "args", "Write a list such as"),
        ({"kwargs": "[]"}, "kwargs", "Write an object such as"),
        ({"kwargs": "[" * 100_000}, "kwargs", "cannot be read as JSON"),
        ({"headers": "5"}, "headers", "Write an object"),
        ({"args": "[]"}, "kwargs", "“count” is missing"),
        ({"args": '["5"]'}, "args", "“count” must be a whole number"),
        ({"args": "[true]"}, "args", "“count” must be a whole number such as 5, not true."),
        ({"args": "[1]", "kwargs": '{"lood": true}'}, "kwargs", "Did you mean “loud”?"),
        ({"task": "no such task"}, "task", "choose one of the list"),
        ({"task": ""}, "task", "required"),
        ({"queue": "nowhere"}, "queue", "choose one of the list"),
        ({"interval": None}, "interval", "Choose when it runs"),
        ({"interval": "x"}, "interval", "Select a valid choice"),
        ({"expire_seconds": "0"}, "expire_seconds", "from 1 to"),
        ({"expire_seconds": "99999999999999999999"}, "expire_seconds", "from 1 to"),
        ({"expire_seconds": "5", "expires": "2030-01-01"}, "expire_seconds", "empty one of them"),
        ({"priority": "256"}, "priority", "less than or equal to 255"),
        ({"start_time": "soon"}, "start_time", "valid date"),
        ({"name": ""}, "name", "required"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(fields, name, said, every, task):
    form = _form(**{"task": NAME, "interval": every, "args": "[1]", **fields})
    assert not form.is_valid()
    assert said in " ".join(form.errors[name])
    assert "__all__" not in form.errors


def test_only_one_timing_can_be_chosen(every):
    form = _form(interval=every, crontab=CrontabSchedule.objects.create(minute="5"))
    assert not form.is_valid()
    assert set(form.errors) == {"interval", "crontab"}
    assert "interval and crontab are: empty all but one" in form.errors["crontab"][0]


def test_a_clocked_schedule_must_be_one_off():
    moment = ClockedSchedule.objects.create(clocked_time=timezone.now() + timedelta(days=1))
    assert _form(clocked=moment).errors == {"one_off": ["A clocked schedule runs once: tick this."]}
    assert _form(clocked=moment, one_off="on").is_valid()


def test_a_name_is_taken_once(every):
    PeriodicTask.objects.create(name="Clean", task=TASK, interval=every)
    assert set(_form(interval=every).errors) == {"name"}
    assert set(_form(interval=every, args="[").errors) == {"name", "args"}


def test_tasks_are_grouped_and_an_unknown_one_is_kept_and_marked(every):
    row = PeriodicTask.objects.create(name="Old", task="gone.task", interval=every, queue="old-queue")
    form = forms.PeriodicTaskForm(instance=row)
    choices = {name: dict(cast("Any", form.fields[name]).choices) for name in ("task", "queue")}
    groups = choices["task"]
    assert (TASK, TASK) in groups["Common"]
    assert groups["gone.task"] == "gone.task (not registered)"
    assert choices["queue"]["old-queue"] == "old-queue (no worker of ours serves it)"
    kept = _form(row, name="Old", task="gone.task", queue="old-queue", interval=every)
    assert kept.is_valid(), kept.errors


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"minute": "nonsense"}, "minute"),
        ({"minute": "99"}, "minute"),
        ({"minute": "*/0"}, "minute"),
        ({"minute": "@daily"}, "minute"),
        ({"minute": ""}, "minute"),
        ({"hour": "25"}, "hour"),
        ({"hour": "9-"}, "hour"),
        ({"day_of_week": "someday"}, "day_of_week"),
        ({"day_of_month": "32"}, "day_of_month"),
        ({"day_of_month": "30", "month_of_year": "2"}, "day_of_month"),
        ({"month_of_year": "13"}, "month_of_year"),
        ({"timezone": "Moon/Crater"}, "timezone"),
    ],
)
def test_crontab_nonsense_is_said_at_its_field(fields, name):
    every = {"minute": "*", "hour": "*", "day_of_month": "*", "month_of_year": "*", "day_of_week": "*"}
    form = forms.CrontabForm({**every, "timezone": "UTC", **fields})
    assert not form.is_valid()
    assert set(form.errors) == {name}


def test_crontabs_that_celery_understands_are_taken():
    data = {"minute": "*/15", "hour": "8-17", "day_of_month": "*", "month_of_year": "*", "day_of_week": "mon-fri"}
    form = forms.CrontabForm({**data, "timezone": "Europe/Berlin"})
    assert form.is_valid(), form.errors


@pytest.mark.parametrize(
    ("every", "period", "good"),
    [
        ("1", "seconds", True),
        ("0", "seconds", False),
        ("-1", "days", False),
        ("1", "microseconds", False),
        ("200000", "microseconds", True),
        ("4000", "days", False),
        ("9" * 18, "days", False),
        ("soon", "days", False),
        ("1", "moons", False),
    ],
)
def test_an_interval_has_bounds(every, period, good):
    assert forms.IntervalForm({"every": every, "period": period}).is_valid() is good


def test_a_clocked_time_is_to_come():
    form = forms.ClockedForm({"clocked_time": "2001-01-01 00:00"})
    assert "Run now" in form.errors["clocked_time"][0]


def test_a_solar_event_that_cannot_be_computed_names_the_remedy(monkeypatch):
    fields = {"event": "sunset", "latitude": "52.5", "longitude": "13.4"}
    assert forms.SolarForm(fields).is_valid()
    monkeypatch.setattr(sun, "is_installed", lambda: False)
    assert "install django-jobroom[solar]" in forms.SolarForm(fields).errors["event"][0]

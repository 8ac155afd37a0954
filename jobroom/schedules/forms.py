"""The admin's forms of schedules: what beat could not run is an error at its field, with the remedy."""

import json
from collections import defaultdict
from datetime import timedelta
from typing import Any, ClassVar

from celery.schedules import crontab
from django import forms
from django.apps import apps
from django.core.exceptions import ValidationError
from django.utils import timezone
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, SolarSchedule

from jobroom.arguments import WrongArguments
from jobroom.arguments.storable import parse
from jobroom.conf import settings
from jobroom.jobs import gate
from jobroom.jobs.exceptions import JobError
from jobroom.schedules import services
from jobroom.schedules.exceptions import UnusableSchedule
from jobroom.schedules.services.next_runs import LONGEST, SHORTEST, UNUSABLE
from jobroom.users import User

KINDS = ("interval", "crontab", "solar", "clocked")

Choices = list[tuple[str, Any]]


def task_choices(current: str = "") -> Choices:
    """Return all registered tasks grouped by app; `current` is offered even if no one knows it any more."""
    groups: dict[str, list[tuple[str, str]]] = defaultdict(list)
    tasks = services.registered_tasks()
    for name, task in tasks.items():
        groups[_group(task)].append((name, name))
    choices: Choices = [("", "Choose a task"), *sorted(groups.items())]
    if current and current not in tasks:
        choices.append((current, f"{current} (not registered)"))
    return choices


def _group(task: Any) -> str:
    module = type(task).__module__ if task.__module__ is None else str(task.__module__)
    app = apps.get_containing_app_config(module)
    return str(app.verbose_name) if app else module.partition(".")[0].capitalize()


def queue_choices(current: str = "") -> Choices:
    """Return the queues that have a worker; `current` is offered even if it is none of them."""
    queues: list[str] = list(settings.QUEUES)
    choices: Choices = [("", "The task's own queue"), *((name, name) for name in queues)]
    if current and current not in queues:
        choices.append((current, f"{current} (no worker of ours serves it)"))
    return choices


class PeriodicTaskForm(forms.ModelForm):  # type: ignore[type-arg]
    """A schedule: which task, when, with what arguments."""

    # Who fills it in; set by the admin.
    user: ClassVar[User | None] = None

    task = forms.ChoiceField(help_text="A task that is not in this list is not known to any worker.")
    queue = forms.ChoiceField(required=False)

    class Meta:
        model = PeriodicTask
        fields = (
            "name", "task", "enabled", "description", "args", "kwargs", *KINDS, "one_off", "start_time", "expires",
            "queue", "priority", "expire_seconds", "headers", "exchange", "routing_key",
        )  # fmt: skip
        help_texts = {
            "interval": "Choose exactly one of interval, crontab, solar and clocked.",
            "crontab": "",
            "solar": "",
            "clocked": "Runs once, so tick “One-off task” too.",
            "expires": "After this time the schedule sends no more jobs.",
            "expire_seconds": "A job that no worker has started after so many seconds is not run any more.",
            "queue": "",
        }
        widgets = {name: forms.Textarea(attrs={"rows": 3}) for name in ("description", "args", "kwargs", "headers")}
        labels = {"expire_seconds": "Job expires after (seconds)", "expires": "Schedule ends", "start_time": "Starts"}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        row = self.instance
        self._choose("task", task_choices(row.task or ""))
        self._choose("queue", queue_choices(row.queue or ""))

    def _choose(self, name: str, choices: Choices) -> None:
        field = self.fields.get(name)
        if isinstance(field, forms.ChoiceField):
            field.choices = choices
            field.error_messages["invalid_choice"] = "“%(value)s” is none of the choices: choose one of the list."

    def clean_args(self) -> str:
        """Return the positional arguments as JSON text."""
        return self._json("args", list, 'a list such as ["abc", 5], or [] for none')

    def clean_kwargs(self) -> str:
        """Return the keyword arguments as JSON text."""
        return self._json("kwargs", dict, 'an object such as {"name": 5}, or {} for none')

    def clean_headers(self) -> str:
        """Return the message headers as JSON text."""
        return self._json("headers", dict, 'an object such as {"name": "value"}, or {} for none')

    def _json(self, name: str, kind: type, expected: str) -> str:
        text = (self.cleaned_data.get(name) or "").strip() or json.dumps(kind())
        try:
            value = parse(text)
        except json.JSONDecodeError as error:
            where = f"line {error.lineno}, column {error.colno}"
            raise ValidationError(f"This is not JSON ({error.msg} at {where}): write {expected}.") from error
        except ValueError as error:
            raise ValidationError(f"This cannot be read as JSON ({error}): write {expected}.") from error
        if not isinstance(value, kind):
            raise ValidationError(f"Write {expected}.")
        return text

    def clean_expire_seconds(self) -> int | None:
        """Return the seconds, which must not be beyond all dates."""
        seconds: int | None = self.cleaned_data.get("expire_seconds")
        if seconds is not None and not 0 < seconds <= LONGEST.total_seconds():
            raise ValidationError(f"Write a number from 1 to {LONGEST.total_seconds():.0f} (ten years), or nothing.")
        return seconds

    def clean(self) -> dict[str, Any]:
        """Check what concerns several fields."""
        super().clean()
        self._check_timing()
        self._check_arguments()
        self._check_start()
        if self.cleaned_data.get("expires") and self.cleaned_data.get("expire_seconds"):
            self.add_error("expire_seconds", "Only one of this and “Schedule ends” can be set: empty one of them.")
        return self.cleaned_data

    def _check_timing(self) -> None:
        chosen = [kind for kind in KINDS if self.cleaned_data.get(kind)]
        if len(chosen) > 1:
            for kind in chosen:
                self.add_error(kind, f"Only one can be chosen, but {' and '.join(chosen)} are: empty all but one.")
        elif not chosen and not set(KINDS) & set(self.errors):
            self.add_error("interval", "Choose when it runs: an interval, a crontab, a solar event or a clocked time.")
        elif chosen == ["clocked"] and not self.cleaned_data.get("one_off"):
            self.add_error("one_off", "A clocked schedule runs once: tick this.")

    def _check_start(self) -> None:
        """Refuse a start that is so far from now that dates cannot be computed."""
        start = self.cleaned_data.get("start_time")
        if start is not None and "start_time" in self.changed_data and abs(start - timezone.now()) > LONGEST:
            self.add_error("start_time", f"Choose a time at most {LONGEST.days} days (ten years) from now.")

    def _check_arguments(self) -> None:
        task = services.registered_tasks().get(self.cleaned_data.get("task", ""))
        if task is None or not {"args", "kwargs"} <= set(self.cleaned_data):
            return
        args, kwargs = (json.loads(self.cleaned_data[field]) for field in ("args", "kwargs"))
        problems = [*services.argument_problems(task, args, kwargs), *services.secret_problems(task, args, kwargs)]
        for problem in problems:
            self.add_error(problem.field, problem.text)
        if not problems:
            self._pass_gate(task, args, kwargs)

    def _pass_gate(self, task: Any, args: list[Any], kwargs: dict[str, Any]) -> None:
        """Let the gate check what the types alone do not show: rows, files, choices, and the right to launch."""
        try:
            gate.admit_call(task.name, args, kwargs, self.user)
        except JobError as error:
            self.add_error("task", str(error))
        except WrongArguments as wrong:
            for name, texts in wrong.errors.items():
                self.add_error("kwargs" if name in kwargs else "args", f"{name}: {' '.join(texts)}")

    def validate_unique(self) -> None:
        """Leave the model's check for a form without errors: it would say the same again, at no field."""
        if self.errors:
            self._validate_name()
        else:
            super().validate_unique()

    def _validate_name(self) -> None:
        others = PeriodicTask.objects.filter(name=self.cleaned_data.get("name", "")).exclude(pk=self.instance.pk)
        if others.exists():
            self.add_error("name", "There is a schedule of this name already: choose another.")


class CrontabForm(forms.ModelForm):  # type: ignore[type-arg]
    """A crontab that Celery understands and that comes about."""

    class Meta:
        model = CrontabSchedule
        fields = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week", "timezone")

    def clean(self) -> dict[str, Any]:
        """Check each field with Celery's own parser, then that there is a next run."""
        super().clean()
        names = [name for name in self._meta.fields or () if name != "timezone"]
        for name in names:
            if name in self.cleaned_data:
                self._check(name, {name: self.cleaned_data[name]}, "Write *, */15, 0-30 or 0,15,30")
        if not self.errors:
            self._check_it_comes()
        return self.cleaned_data

    def _check(self, name: str, fields: dict[str, str], remedy: str) -> None:
        try:
            crontab(**fields)
        except UNUSABLE as error:
            self.add_error(name, f"“{self.cleaned_data[name]}” is not understood ({error}). {remedy}.")

    def _check_it_comes(self) -> None:
        row = PeriodicTask(crontab=CrontabSchedule(**self.cleaned_data), date_changed=timezone.now())
        try:
            services.next_runs(row)
        except UnusableSchedule:
            self.add_error("day_of_month", "This date never comes: change the day of the month or the month.")


class IntervalForm(forms.ModelForm):  # type: ignore[type-arg]
    """An interval that neither floods the queue nor is longer than dates can be."""

    class Meta:
        model = IntervalSchedule
        fields = ("every", "period")

    def clean(self) -> dict[str, Any]:
        """Check the length."""
        super().clean()
        every, period = self.cleaned_data.get("every"), self.cleaned_data.get("period")
        if every is None or period is None:
            return self.cleaned_data
        try:
            length = timedelta(**{period: every})
        except OverflowError:
            length = timedelta.max
        if not SHORTEST <= length <= LONGEST:
            self.add_error("every", "Choose an interval from a tenth of a second to 3650 days.")
        return self.cleaned_data


class ClockedForm(forms.ModelForm):  # type: ignore[type-arg]
    """A moment that is still to come."""

    class Meta:
        model = ClockedSchedule
        fields = ("clocked_time",)

    def clean_clocked_time(self) -> Any:
        """Return the time."""
        moment = self.cleaned_data["clocked_time"]
        if "clocked_time" in self.changed_data and moment <= timezone.now():
            raise ValidationError("This time has passed: choose one to come, or use Run now on the schedule.")
        return moment


class SolarForm(forms.ModelForm):  # type: ignore[type-arg]
    """A solar event, for which Celery needs the package ephem."""

    class Meta:
        model = SolarSchedule
        fields = ("event", "latitude", "longitude")

    def clean(self) -> dict[str, Any]:
        """Check that the event can be computed."""
        super().clean()
        if not self.errors:
            row = PeriodicTask(solar=SolarSchedule(**self.cleaned_data), date_changed=timezone.now())
            try:
                services.next_runs(row)
            except UnusableSchedule as error:
                self.add_error(
                    "event",
                    f"It cannot be computed here: {str(error).removeprefix(f'{row.scheduler}: ')}",
                )
        return self.cleaned_data

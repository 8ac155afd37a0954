"""The launch form, made from a task's arguments, with the fields for when and in which queue."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.utils import timezone
from django.utils.module_loading import import_string

from jobroom.arguments import Schema, WrongArguments, schema_of
from jobroom.cache import keeps_answers
from jobroom.jobs import gate, policies
from jobroom.jobs.files import store
from jobroom.jobs.forms.fields import ArgumentField
from jobroom.jobs.forms.schema_form import SchemaForm
from jobroom.jobs.gate import Checked, default_queue
from jobroom.jobs.models import Caching
from jobroom.jobs.signals import repetition_fields_asked
from jobroom.users import User


class LaunchForm(SchemaForm):
    """All arguments of one task; `checked()` gives what `jobroom.jobs.launches.launch` takes."""

    def __init__(
        self,
        task: Any,
        user: User | None,
        data: Any = None,
        files: Any = None,
        initial: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(data, files, initial=None, use_required_attribute=False)
        self.task, self.user = task, user
        self._arguments: Checked | None = None
        self.schema: Schema = schema_of(task)
        start = dict(initial or {})
        self.add_fields(self.schema.parameters, self._answers(data, start), user, start)
        self.depends = any(
            callable(p.argument.choices) or p.argument.visible or p.argument.default for p in self.schema.parameters
        )
        self.has_dry_run = any(p.name == "dry_run" and p.kind == "boolean" for p in self.schema.parameters)

    def _answers(self, data: Any, initial: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answers so far: what was typed, else what the form starts with, else the defaults."""
        known = {p.name: p.default for p in self.schema.parameters if p.default is not None}
        known |= dict(initial)
        for parameter in self.schema.parameters:
            if data is not None and (parameter.name in data or parameter.kind == "boolean"):
                known[parameter.name] = data.get(parameter.name)
        return known

    def clean(self) -> dict[str, Any]:
        """Check all answers by the task's schema; each error goes to its field."""
        # All at once, also beside an answer that could not even be read: no one likes to mend one after the other.
        return self._checked(self.read_all())

    def _checked(self, values: dict[str, Any]) -> dict[str, Any]:
        """Let the gate check all values; what passes is what is launched, and not checked a second time."""
        try:
            self._arguments = gate.check(self.task, values, self.user)
        except WrongArguments as wrong:
            self.add_errors(wrong)
        return values

    def _stored(self, name: str, value: Any, field: ArgumentField) -> Any:
        if not isinstance(value, UploadedFile):
            return value
        suffixes = field.parameter.argument.suffixes
        if suffixes and not str(value.name).lower().endswith(suffixes):
            self.add_error(name, f"Choose a file of type {', '.join(suffixes)}.")
            return None
        return str(store(value, owner=field.user).pk)

    def arguments(self) -> dict[str, Any]:
        """Return the checked answers by name; those left empty are absent."""
        return dict(self.cleaned_data)

    def checked(self) -> Checked:
        """Return the answers of a valid form as the gate has passed them."""
        if self._arguments is None:
            raise ValueError("The form is not valid, or not checked yet.")
        return self._arguments


class OwnLaunchForm(LaunchForm):
    """The launch form of a task that brings its own Django form (`form = "app.forms.TheForm"` on the task)."""

    def __init__(self, task: Any, user: User | None, data: Any = None, files: Any = None, initial: Any = None) -> None:
        own = task.form if isinstance(task.form, type) else import_string(task.form)
        super().__init__(task, user, data, files, initial)
        self.own = own(data, files, initial=initial)
        self.fields = self.own.fields
        for name, field in self.fields.items():
            field.initial = (initial or {}).get(name, field.initial)

    def clean(self) -> dict[str, Any]:
        """Let the task's form check first, then the schema."""
        self.own.full_clean()
        for name, errors in self.own.errors.items():
            self.add_error(None if name == "__all__" else name, errors)
        if self.errors:
            return {}
        return self._checked(dict(self.own.cleaned_data))


def launch_form(task: Any, user: User | None, **options: Any) -> LaunchForm:
    """Return the form for a task: its own where it has one, else the one made from its signature."""
    kind = OwnLaunchForm if getattr(task, "form", None) else LaunchForm
    return kind(task, user, **options)


class WhenForm(forms.Form):
    """How, not what: queue, time, priority, a note."""

    queue = forms.ChoiceField(required=False)
    when = forms.ChoiceField(choices=[("now", "Now"), ("later", "At a time"), ("repeat", "Repeatedly")], initial="now")
    run_after = forms.DateTimeField(
        required=False,
        label="Time",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )
    cron = forms.CharField(
        required=False,
        label="Schedule",
        help_text="Five fields: minute, hour, day of month, month, day of week; or “every 15 minutes”.",
        widget=forms.TextInput(attrs={"placeholder": "0 6 * * 1-5"}),
    )
    schedule_name = forms.CharField(required=False, label="Name of the schedule", max_length=200)
    priority = forms.TypedChoiceField(
        required=False,
        coerce=int,
        empty_value=None,
        choices=[("", "Normal"), ("0", "Before all others"), ("9", "After all others")],
    )
    note = forms.CharField(required=False, widget=forms.TextInput(attrs={"placeholder": "Why, for the record"}))
    tags = forms.CharField(required=False, help_text="Separated by commas.")

    caching = forms.ChoiceField(
        required=False,
        label="Result cache",
        help_text="Who asks what was answered already gets that answer at once.",
        choices=Caching.choices,
    )

    def __init__(self, task: Any, user: User, data: Any = None, initial: Mapping[str, Any] | None = None) -> None:
        super().__init__(data, prefix="launch", initial=dict(initial or {}))
        if not keeps_answers(task):
            del self.fields["caching"]
        self.repetition = self._ask_for_repetition()
        default = self.usual_queue = default_queue(task)
        allowed = policies.queues_for(user, task.name, default)
        self.fields["run_after"].help_text = f"In the time zone {timezone.get_current_timezone_name()}."
        field = self.fields["queue"]
        if isinstance(field, forms.ChoiceField):
            field.choices = [(queue, f"{queue} (usual)" if queue == default else queue) for queue in allowed]

    def _ask_for_repetition(self) -> list[str]:
        """Add what else is asked for of a job that runs repeatedly, behind the name of the schedule; return the names."""
        more: dict[str, forms.Field] = {}
        answers: Any = repetition_fields_asked.send(sender=type(self))
        for _, fields in answers:
            more |= fields or {}
        names = list(self.fields)
        self.fields |= {f"repeat_{name}": field for name, field in more.items()}
        self.order_fields([*names[: names.index("schedule_name") + 1], *(f"repeat_{name}" for name in more)])
        return list(more)

    def policy(self) -> dict[str, Any]:
        """Return what was chosen for a job that runs repeatedly."""
        answered = {name: self.cleaned_data.get(f"repeat_{name}") for name in self.repetition}
        return {name: value for name, value in answered.items() if value}

    def clean(self) -> dict[str, Any]:
        """Ask for what the chosen time needs."""
        values: dict[str, Any] = super().clean() or {}
        if values.get("when") == "later":
            if not values.get("run_after") and "run_after" not in self.errors:
                self.add_error("run_after", "Give the day and time at which the job should run.")
            elif values.get("run_after") and values["run_after"] <= timezone.now():
                self.add_error("run_after", "This time has passed. Give one in the future, or choose “Now”.")
        if values.get("when") == "repeat" and not values.get("cron"):
            self.add_error("cron", "Give the schedule, such as 0 6 * * 1-5 for six o'clock on working days.")
        return values

    def options(self) -> dict[str, Any]:
        """Return the keyword arguments for `jobroom.jobs.launches.launch`."""
        values = self.cleaned_data
        return {
            "queue": values.get("queue") or "",
            "run_after": values.get("run_after") if values.get("when") == "later" else None,
            "priority": values.get("priority"),
            "note": values.get("note") or "",
            "caching": values.get("caching") or "",
            "tags": [tag.strip() for tag in (values.get("tags") or "").split(",") if tag.strip()],
        }

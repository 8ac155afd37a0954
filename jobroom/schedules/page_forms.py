"""The form of a schedule's page: when it runs, its name, and its queue."""

from typing import Any

from django import forms
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from jobroom.arguments import WrongArguments
from jobroom.jobs import policies
from jobroom.jobs.gate import default_queue
from jobroom.schedules.page_policy import CALENDAR_FIELDS, calendar_fields, calendars_chosen
from jobroom.schedules.services import ends, notation, sun
from jobroom.schedules.services.notation import Timing
from jobroom.users import User

PERIODS = [("minutes", "minutes"), ("hours", "hours"), ("days", "days"), ("seconds", "seconds")]


class TimingForm(forms.Form):
    """When it runs: every so often, at times of the day, or once. `line` is the answer as one line."""

    kind = forms.ChoiceField(
        label="Runs",
        choices=[
            ("every", "Every so often"),
            ("cron", "At times of the day (crontab)"),
            ("solar", "At an event of the sun"),
            ("once", "Once"),
        ],
        initial="every",
    )
    every = forms.IntegerField(required=False, min_value=1, max_value=999_999_999, initial=1, label="Every")
    period = forms.ChoiceField(required=False, choices=PERIODS, initial="hours", label="Unit")
    cron = forms.CharField(
        required=False,
        max_length=200,
        label="Crontab",
        widget=forms.TextInput(attrs={"placeholder": "0 6 * * 1-5", "list": "crontabs", "autocomplete": "off"}),
    )
    at = forms.DateTimeField(
        required=False,
        label="Day and time",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )

    event = forms.ChoiceField(required=False, choices=list(sun.EVENTS.items()), initial="sunrise", label="Event")
    latitude = forms.DecimalField(
        required=False, min_value=-90, max_value=90, max_digits=9, decimal_places=6, label="Latitude",
        help_text="In degrees, such as 52.52; south is negative.",
    )  # fmt: skip
    longitude = forms.DecimalField(
        required=False, min_value=-180, max_value=180, max_digits=9, decimal_places=6, label="Longitude",
        help_text="In degrees, such as 13.405; west is negative.",
    )  # fmt: skip

    prefix = "schedule"

    def __init__(self, *args: Any, row: PeriodicTask | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.row = row
        self.timing: Timing | None = None
        zone = row.crontab.timezone if row is not None and row.crontab else timezone.get_current_timezone_name()
        self.fields["cron"].help_text = (
            f"Minute, hour, day of month, month, day of week; by the clocks of {zone}. "
            "0 6 * * 1-5 is six o'clock on working days."
        )
        if row is None:  # those of a stored schedule are changed with its policy
            self.fields |= calendar_fields()
        self.fields["at"].help_text = f"In the time zone {timezone.get_current_timezone_name()}."

    @property
    def calendars(self) -> dict[str, Any]:
        """The calendars that a new schedule follows, as a part of its policy."""
        return calendars_chosen(self.cleaned_data)

    def clean(self) -> dict[str, Any]:
        """Read the timing; an error goes to the field that was chosen."""
        values: dict[str, Any] = super().clean() or {}
        kind = values.get("kind", "")
        asked = {"every": "every", "cron": "cron", "once": "at", "solar": "event"}.get(kind, "kind")
        if kind == "solar" and self._lacks_place():
            return values
        if asked in self.errors or not kind:
            return values
        try:
            self.timing = notation.read(self.line, self._zone())
        except WrongArguments as wrong:
            self.add_error(asked, " ".join(wrong.errors["cron"]))
        return values

    def _zone(self) -> Any:
        return self.row.crontab.timezone if self.row is not None and self.row.crontab else None

    def _lacks_place(self) -> bool:
        """Say which part of the place is missing; return whether one is, or is wrong."""
        if not sun.is_installed():
            self.add_error("event", sun.MISSING)
        for name in ("latitude", "longitude"):
            if name not in self.errors and self.cleaned_data.get(name) is None:
                self.add_error(name, "Write the place of the sun's event in degrees.")
        return bool({"event", "latitude", "longitude"} & set(self.errors))

    @property
    def line(self) -> str:
        """When it runs, as `services.notation` reads it."""
        values = self.cleaned_data
        if values.get("kind") == "every":
            return notation.every(values.get("every") or 1, values.get("period") or "hours")
        if values.get("kind") == "solar":
            return f"{values.get('event')} at {values.get('latitude')}, {values.get('longitude')}"
        if values.get("kind") == "once":
            return f"{values['at']:%Y-%m-%dT%H:%M:%S%z}" if values.get("at") else ""
        return str(values.get("cron") or "")

    @classmethod
    def start(cls, row: PeriodicTask) -> dict[str, Any]:
        """Return what the form of a stored schedule begins with."""
        if row.interval:
            return {"kind": "every", "every": row.interval.every, "period": row.interval.period}
        if row.clocked:
            return {"kind": "once", "at": timezone.localtime(row.clocked.clocked_time)}
        if row.solar:
            place = {name: sun.short(getattr(row.solar, name)) for name in ("latitude", "longitude")}
            return {"kind": "solar", "event": row.solar.event, **place}
        return {"kind": "cron", "cron": notation.written(row)}


class ScheduleForm(TimingForm):
    """When, and beside it the name, the queue and what it is for."""

    name = forms.CharField(required=False, max_length=200, help_text="Without one it is called by its task and time.")
    queue = forms.ChoiceField(required=False)
    description = forms.CharField(required=False, max_length=2000, label="What it is for")
    expires = forms.DateTimeField(
        required=False,
        label="Ends",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local", "step": 1}, format="%Y-%m-%dT%H:%M:%S"),
    )

    def __init__(self, task: Any, user: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        usual = default_queue(task)
        allowed = policies.queues_for(user, task.name, usual)
        present = self.row.queue if self.row is not None else None
        names = [*allowed, *([present] if present and present not in allowed else [])]
        field = self.fields["queue"]
        if isinstance(field, forms.ChoiceField):
            field.choices = [(name, f"{name} (usual)" if name == usual else name) for name in names]
        zone = timezone.get_current_timezone_name()
        self.fields[
            "expires"
        ].help_text = f"It sends nothing from then on. In the time zone {zone}. Empty: it has no end."
        self.order_fields(
            [
                "kind",
                "every",
                "period",
                "cron",
                "event",
                "latitude",
                "longitude",
                "at",
                *CALENDAR_FIELDS,
                "expires",
                "name",
                "queue",
                "description",
            ]
        )

    def clean_expires(self) -> Any:
        """Return when it ends; the page shows no parts of a second, so what was not changed stays exactly."""
        expires, stored = self.cleaned_data["expires"], self.row.expires if self.row is not None else None
        if stored is not None and expires == stored.replace(microsecond=0):
            expires = stored
        if wrong := ends.why_not(self.row, expires):
            raise forms.ValidationError(wrong)
        return expires

    def take_errors(self, wrong: WrongArguments) -> dict[str, list[str]]:
        """Show what the service found wrong at the fields of this form; return the rest."""
        ours = {"cron": "cron", "schedule_name": "name", "queue": "queue", "expires": "expires"}
        ours |= {name: name for name in CALENDAR_FIELDS if name in self.fields}
        for name, texts in wrong.errors.items():
            for text in texts if name in ours else ():
                self.add_error(ours[name], text)
        return {name: texts for name, texts in wrong.errors.items() if name not in ours}

    @classmethod
    def start(cls, row: PeriodicTask) -> dict[str, Any]:
        """Return what the form of a stored schedule begins with."""
        more = {"name": row.name, "queue": row.queue or "", "description": row.description, "expires": row.expires}
        return {**super().start(row), **more}

"""The form of a schedule's policy."""

from collections.abc import Mapping
from typing import Any

from django import forms

from jobroom.schedules.models import Calendar, Closed, Missed, Overlap
from jobroom.schedules.services.policy import CALENDARS, MOST_FAILURES, MOST_JITTER

CALENDAR_FIELDS = (*CALENDARS, "closed")


class CalendarsForm(forms.Form):
    """Which calendars a schedule follows; nothing is asked where there is none."""

    not_on = forms.MultipleChoiceField(
        required=False,
        label="Do not run on",
        widget=forms.CheckboxSelectMultiple,
        help_text="By the clocks of the schedule's time zone.",
    )
    only_on = forms.MultipleChoiceField(required=False, label="Run only on", widget=forms.CheckboxSelectMultiple)
    closed = forms.ChoiceField(
        required=False,
        label="A run that falls on such a time",
        choices=Closed.choices,
        help_text="Moved: to when that ends by the clock, or to the same time of the next day that is open; not where its next run comes before that.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offer_calendars(self.fields, {name: self.initial.get(name, []) for name in CALENDARS})


def offer_calendars(fields: dict[str, forms.Field], followed: Mapping[str, list[str]]) -> None:
    """Let the fields offer the calendars that there are, and those that are followed; without any, take the fields out."""
    names = set(Calendar.objects.values_list("name", flat=True))
    for name, chosen in followed.items():
        # One that there is not stays to be seen, so that it can be taken out.
        fields[name].choices = [(one, one) for one in sorted({*names, *chosen})]  # type: ignore[attr-defined]
    if not names and not any(followed.values()):
        for name in CALENDAR_FIELDS:
            del fields[name]


def calendar_fields() -> dict[str, forms.Field]:
    """Return the fields with which a form asks which calendars a new schedule follows."""
    return dict(CalendarsForm().fields)


def calendars_chosen(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a policy that the answers to `calendar_fields` are; nothing where no calendar is followed."""
    if not any(values.get(name) for name in CALENDARS):
        return {}
    return {name: values[name] for name in CALENDAR_FIELDS if values.get(name)}


class PolicyForm(CalendarsForm):
    """What becomes of runs that overlap, of those that were missed or fall on days of calendars, and of the schedule when its jobs fail."""

    prefix = "policy"
    field_order = ("overlap", "missed", "missed_window", "pause_after", "jitter")

    overlap = forms.ChoiceField(label="If the job before has not ended", choices=Overlap.choices)
    missed = forms.ChoiceField(label="Runs that were missed", choices=Missed.choices)
    missed_window = forms.IntegerField(
        required=False,
        min_value=60,
        label="Window in seconds",
        help_text="How old a run may be, where all are made up.",
    )
    pause_after = forms.IntegerField(
        required=False,
        min_value=0,
        max_value=MOST_FAILURES,
        label="Failures in a row that pause it",
        help_text="After so many it sends nothing more until it is resumed, and its owner gets a mail. 0: it is never paused.",
    )

    jitter = forms.IntegerField(
        required=False,
        min_value=0,
        max_value=MOST_JITTER,
        label="Delay by up to so many seconds",
        help_text="So that schedules of the same time do not all start at once. The same moment always gives the same delay. 0: none.",
    )

    def clean(self) -> dict[str, Any]:
        """Leave out what was not answered: it stays as it is."""
        answered: dict[str, Any] = super().clean() or {}
        return {name: value for name, value in answered.items() if value is not None and value != ""}

"""The form of a schedule's policy."""

from typing import Any

from django import forms

from jobroom.schedules.models import Calendar, Closed, Missed, Overlap
from jobroom.schedules.services.policy import CALENDARS, MOST_FAILURES, MOST_JITTER


class PolicyForm(forms.Form):
    """What becomes of runs that overlap, of those that were missed or fall on days of calendars, and of the schedule when its jobs fail."""

    prefix = "policy"

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
        followed = {name: self.initial.get(name, []) for name in CALENDARS}
        names = set(Calendar.objects.values_list("name", flat=True))
        for field, chosen in followed.items():
            # One that there is not stays to be seen, so that it can be taken out.
            self.fields[field].choices = [(name, name) for name in sorted({*names, *chosen})]  # type: ignore[attr-defined]
        if not names and not any(followed.values()):
            for field in (*CALENDARS, "closed"):
                del self.fields[field]

    def clean(self) -> dict[str, Any]:
        """Leave out what was not answered: it stays as it is."""
        answered: dict[str, Any] = super().clean() or {}
        return {name: value for name, value in answered.items() if value is not None and value != ""}

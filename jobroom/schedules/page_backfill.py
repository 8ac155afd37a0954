"""The form of a backfill."""

from datetime import datetime
from typing import Any

from django import forms
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from jobroom.jobs import moments
from jobroom.schedules.models import Which
from jobroom.schedules.services import closures
from jobroom.schedules.services.backfill_plan import MOST_AT_ONCE, Range
from jobroom.schedules.services.backfills import moment


class BackfillForm(forms.Form):
    """The range, by the clocks of the schedule, and how its runs are made."""

    since = forms.CharField(
        label="From", max_length=40, widget=forms.DateTimeInput(attrs={"type": "datetime-local", "step": 1})
    )
    until = forms.CharField(
        label="To", max_length=40, widget=forms.DateTimeInput(attrs={"type": "datetime-local", "step": 1})
    )
    which = forms.ChoiceField(label="Make", choices=Which.choices, initial=Which.MISSING)
    at_once = forms.IntegerField(
        label="Jobs at a time", min_value=1, max_value=MOST_AT_ONCE, initial=1,
        help_text="The schedule's own runs do not count, and go on.",
    )  # fmt: skip
    newest_first = forms.BooleanField(label="The newest first", required=False)

    def __init__(self, row: PeriodicTask, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.zone = closures.zone_of(row)
        self.fields["since"].help_text = self.fields["until"].help_text = f"In the time zone {self.zone}."

    def clean_since(self) -> datetime:
        """Return the beginning."""
        return self._moment("since")

    def clean_until(self) -> datetime:
        """Return the end."""
        return self._moment("until")

    def _moment(self, name: str) -> datetime:
        found = moment(self.cleaned_data[name], self.zone)
        if found is None:
            raise forms.ValidationError(moments.NO_TIME)
        return found

    @property
    def range(self) -> Range:
        """What is asked for."""
        values = self.cleaned_data
        return Range(values["since"], values["until"], values["which"])

    @staticmethod
    def start(row: PeriodicTask) -> dict[str, Any]:
        """Return what the form begins with: the last day."""
        zone = closures.zone_of(row)
        now = timezone.localtime(timezone.now(), zone).replace(second=0, microsecond=0)
        day = now.replace(hour=0, minute=0)
        return {
            "since": f"{day:%Y-%m-%dT%H:%M}",
            "until": f"{now:%Y-%m-%dT%H:%M}",
            "which": Which.MISSING,
            "at_once": 1,
        }

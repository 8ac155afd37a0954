"""The form that pauses a schedule."""

from typing import Any

from django import forms
from django.utils import timezone

from jobroom.schedules.services import pauses


class PauseForm(forms.Form):
    """Why a schedule is paused, and until when."""

    reason = forms.CharField(required=False, max_length=300, label="Why, for those who wonder")
    until = forms.DateTimeField(
        required=False,
        label="Until",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"auto_id": "pause-%s", **kwargs})
        zone = timezone.get_current_timezone_name()
        self.fields["until"].help_text = f"In the time zone {zone}. Empty: until it is resumed."

    def clean_until(self) -> Any:
        """Return the time, which must be to come."""
        until = self.cleaned_data["until"]
        if wrong := pauses.why_not_until(until):
            raise forms.ValidationError(wrong)
        return until

"""The form of a calendar."""

from typing import Any

from django import forms

from jobroom.arguments import WrongArguments
from jobroom.schedules.models import Calendar
from jobroom.schedules.services import calendar_file
from jobroom.schedules.services.calendar_days import merged

_EXAMPLE = "2026-12-25 Christmas\n2026-12-24 to 2027-01-01 Company holidays\n2026-12-18 16:00 to 2027-01-04 08:00 Freeze\nevery 05-01 Labour Day\nevery Sat, Sun"


class CalendarForm(forms.Form):
    """Name and days of a calendar; the days of a file come after those that are typed.

    The page's script has the file read when it is chosen, and sends its lines as if they were typed.
    """

    name = forms.CharField(max_length=100, widget=forms.TextInput(attrs={"autocomplete": "off"}))
    description = forms.CharField(required=False, max_length=300, label="What it is for")
    days = forms.CharField(
        required=False,
        strip=False,
        label="Days, one a line",
        widget=forms.Textarea(attrs={"rows": 10, "placeholder": _EXAMPLE, "spellcheck": "false"}),
        help_text="A day, days or times from … to …, a day of each year (every 05-01), days of the week with hours or without. Words may follow. By the clocks of each schedule's zone.",
    )
    file = forms.FileField(
        required=False,
        allow_empty_file=True,
        label="File with days",
        widget=forms.FileInput(attrs={"accept": ".ics,.csv,.txt", "data-most": calendar_file.MOST_BYTES}),
        help_text="An .ics file, as Google, Outlook and sites of public holidays give it, or a table (.csv): first day, last day if there is one, words. Its days are added to the lines above, where you see them before you save.",
    )

    def clean_days(self) -> str:
        """Return the lines; what is wrong with them is said by number."""
        try:
            return merged(self.cleaned_data["days"], ())
        except WrongArguments as wrong:
            raise forms.ValidationError(wrong.errors["days"]) from wrong

    def clean(self) -> dict[str, Any]:
        """Add the days of the file, also to what the form shows again: a browser forgets the file."""
        values: dict[str, Any] = super().clean() or {}
        file = values.pop("file", None)
        if file is None:
            return values
        try:
            lines = calendar_file.lines_of(file, file.name)
        except WrongArguments as wrong:
            for name, texts in wrong.errors.items():
                self.add_error(name, texts)
            return values
        typed = self.data.get("days", "").splitlines()
        both = "\n".join([*typed, *(line for line in lines if line not in typed)])
        self.data = {**dict(self.data.items()), "days": both}
        if "days" in values:
            try:
                values["days"] = merged(values["days"], lines)
            except WrongArguments as wrong:
                self.add_error("days", wrong.errors["days"])
        return values

    @staticmethod
    def start(calendar: Calendar) -> dict[str, str]:
        """Return what the form of a stored calendar begins with."""
        return {"name": calendar.name, "description": calendar.description, "days": calendar.days}

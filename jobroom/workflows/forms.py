"""The launch form of a definition, made from the JSON Schema of its payload."""

import dataclasses
import math
from collections.abc import Container, Mapping
from typing import Any

from django import forms
from django.db.models import QuerySet

from jobroom.arguments import WrongArguments
from jobroom.arguments.json_schema import parameters_of
from jobroom.jobs.forms.fields import ArgumentField
from jobroom.jobs.forms.schema_form import SchemaForm
from jobroom.users import User

# Rows of a model that a field offers.
OFFERED = 500


class PayloadField(ArgumentField):
    """One part of a payload: read to the JSON that its schema is for, which turns no text into a number."""

    def _rows(self) -> forms.Widget:
        return forms.Select(choices=[("", "—"), *((str(row.pk), f"{row} ({row.pk})") for row in self._offered())])

    def _offered(self) -> QuerySet[Any]:
        """Return the newest rows of the model that the person may see; where it says of none who may, they are for staff."""
        model: Any = self.parameter.model
        rows, user = model._default_manager.all(), self.user
        if hasattr(rows, "visible_to"):
            rows = rows.visible_to(user)
        elif user is None or not user.is_staff:
            rows = rows.none()
        newest = rows.order_by("-pk").values_list("pk", flat=True)[:OFFERED]
        found: QuerySet[Any] = rows.filter(pk__in=list(newest)).order_by("-pk")
        return found

    def read(self, value: Any) -> Any:
        """Return the value as JSON; raise ValidationError for what is no number, or no row that is offered."""
        found = super().read(value)
        if found is None or self.choices:
            return found
        if self.parameter.kind == "model":
            return self._row(str(found))
        return _number(found, self.parameter.kind) if self.parameter.kind in {"integer", "number"} else found

    def _row(self, text: str) -> Any:
        row = next((row for row in self._offered() if str(row.pk) == text), None)
        if row is None:
            name = self.parameter.model._meta.verbose_name if self.parameter.model is not None else "row"
            raise forms.ValidationError(f"There is no {name} {text[:100]!r}. Choose one of the list.")
        return row.pk if isinstance(row.pk, int) else str(row.pk)


def _number(text: Any, kind: str) -> int | float:
    try:
        found = int(str(text)) if kind == "integer" else float(str(text))
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise forms.ValidationError("Give a whole number." if kind == "integer" else "Give a number.")
    return found


class PayloadForm(SchemaForm):
    """The fields of a payload, and a note. What is left empty is left out, so that the definition's default counts."""

    field_kind = PayloadField
    note = forms.CharField(required=False, max_length=2000, help_text="Why it is launched; shown on its page.")

    def __init__(
        self,
        schema: Mapping[str, Any],
        user: User,
        data: Any = None,
        initial: Mapping[str, Any] | None = None,
        *,
        optional: Container[str] = (),
        prefix: str | None = None,
    ) -> None:
        start = dict(initial or {})
        super().__init__(data, initial={"note": start.get("note", "")}, prefix=prefix, use_required_attribute=False)
        note = self.fields.pop("note")
        parameters = [
            dataclasses.replace(p, required=p.required and p.name not in optional) for p in parameters_of(schema)
        ]
        self.parts = [p.name for p in parameters]
        # Also where a default stands in it: who empties it is asked.
        self.needed = [p.name for p in parameters if p.required]
        self.payload: dict[str, Any] = {}
        self.add_fields(parameters, start, user, start)
        self.fields.setdefault("note", note)  # unless a part has that name

    def clean(self) -> dict[str, Any]:
        """Read the payload; it is held against its schema where it is launched."""
        self.payload = {name: value for name, value in self.read_all().items() if value not in (None, "")}
        for name in self.needed:
            if name not in self.payload and name not in self.errors:
                self.add_error(name, "This field is needed.")
        return self.cleaned_data

    def take_errors(self, errors: Mapping[str, list[str]]) -> None:
        """Show what the definition's own check found, at the fields where they are."""
        self.add_errors(WrongArguments(dict(errors)))

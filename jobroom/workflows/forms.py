"""The launch form of a definition, made from the JSON Schema of its payload."""

import json
from collections.abc import Mapping
from typing import Any

from django import forms
from django.apps import apps
from django.db.models import Model, QuerySet

from jobroom.arguments.storable import WrongJson, parse
from jobroom.users import User

# Rows of a model that a field offers.
OFFERED = 500


class JsonField(forms.CharField):
    """JSON in a text area; an empty one is no value."""

    widget = forms.Textarea(attrs={"rows": 4, "class": "code", "spellcheck": "false"})

    def __init__(self, kind: str, **options: Any) -> None:
        super().__init__(**options)
        self.kind = kind

    def to_python(self, value: Any) -> Any:
        """Return the value of the text; raise ValidationError with an example."""
        text = super().to_python(value)
        if not text:
            return None
        try:
            return parse(text)
        except WrongJson as error:
            raise forms.ValidationError(str(error)) from error
        except ValueError as error:
            example = '["a", "b"]' if self.kind == "array" else '{"a": 1}'
            raise forms.ValidationError(f"This is not JSON, such as {example}: {error}.") from error

    def prepare_value(self, value: Any) -> Any:
        """Show a value as JSON, and what someone typed as it is."""
        return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)


class PayloadForm(forms.Form):
    """The fields of a payload, and a note. What is left empty is left out, so that the definition's default counts."""

    note = forms.CharField(required=False, max_length=2000, help_text="Why it is launched; shown on its page.")

    def __init__(self, schema: Mapping[str, Any], user: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.properties: Mapping[str, Any] = schema.get("properties", {})
        needed = set(schema.get("required", ()))
        fields = {name: _field(name, part, name in needed, user) for name, part in self.properties.items()}
        self.fields = {**fields, "note": self.fields["note"]}

    @property
    def payload(self) -> dict[str, Any]:
        """The payload of a valid form."""
        given = {name: self.cleaned_data.get(name) for name in self.properties}
        return {
            name: value.pk if isinstance(value, Model) else value
            for name, value in given.items()
            if value not in (None, "")
        }

    def take_errors(self, errors: Mapping[str, list[str]]) -> None:
        """Show what the definition's own check found, at the fields where they are."""
        for name, texts in errors.items():
            self.add_error(name if name in self.fields else None, texts)


def _field(name: str, part: Mapping[str, Any], needed: bool, user: User) -> forms.Field:
    common: dict[str, Any] = {
        "label": part.get("title") or name.replace("_", " ").capitalize(),
        "help_text": part.get("description", ""),
        "required": needed,  # also where a default stands in it: who empties it is asked
        "initial": part.get("default"),
    }
    if part.get("x-model"):
        return _Row(queryset=_rows(part["x-model"], user), **common)
    if "enum" in part:
        choices = [(value, value) for value in part["enum"]]
        return forms.TypedChoiceField(
            choices=choices, coerce=lambda text: next((v for v in part["enum"] if str(v) == text), text), **common
        )
    return _plain(part, common)


def _plain(part: Mapping[str, Any], common: dict[str, Any]) -> forms.Field:
    kind = part.get("type", "string")
    limits: dict[str, Any] = {"min_value": part.get("minimum"), "max_value": part.get("maximum")}
    if kind == "integer":
        return forms.IntegerField(**limits, **common)
    if kind == "number":
        return forms.FloatField(**limits, widget=forms.NumberInput(attrs={"step": "any"}), **common)
    if kind == "boolean":
        return forms.BooleanField(**{**common, "required": False})
    if kind in {"array", "object"}:
        return JsonField(kind, **common)
    return forms.CharField(max_length=part.get("maxLength"), min_length=part.get("minLength"), **common)


class _Row(forms.ModelChoiceField):  # type: ignore[type-arg]  # not generic at run time
    """A row that the person may see."""

    def label_from_instance(self, obj: Any) -> str:
        """Name the row and its id."""
        return f"{obj} ({obj.pk})"


def _rows(label: str, user: User) -> QuerySet[Any]:
    """Return the newest rows of a model that the person may see."""
    model: Any = apps.get_model(label)
    rows = model._default_manager.all()
    visible = getattr(rows, "visible_to", None)
    rows = visible(user) if visible is not None else rows if user.is_staff else rows.none()
    newest = rows.order_by("-pk").values_list("pk", flat=True)[:OFFERED]
    found: QuerySet[Any] = rows.filter(pk__in=list(newest)).order_by("-pk")
    return found

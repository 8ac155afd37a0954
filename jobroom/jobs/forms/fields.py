"""Fields of the launch form: how each kind of argument is shown and read. The argument's schema does the checking."""

import contextlib
import datetime
import functools
import json
import operator
import uuid
from collections.abc import Mapping
from typing import Any

from django import forms
from django.db.models import Q
from django.forms.renderers import TemplatesSetting
from django.template.defaultfilters import filesizeformat
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.safestring import SafeString

from jobroom.arguments import Parameter
from jobroom.arguments.storable import WrongJson, parse
from jobroom.jobs.models import StoredFile
from jobroom.users import User

# A list of rows longer than this is searched instead of shown.
SHORT_LIST = 200
_HTML_TYPES = {
    "integer": "number",
    "number": "number",
    "decimal": "number",
    "date": "date",
    "datetime": "datetime-local",
    "time": "time",
}
_AREAS: dict[str, dict[str, Any]] = {
    "list": {"rows": 3, "placeholder": "One a line"},
    "json": {"rows": 3, "spellcheck": "false", "class": "code"},
}
_LIMITS = {"minimum": "min", "maximum": "max", "maxLength": "maxlength", "pattern": "pattern"}
_ATTRS: dict[str, dict[str, Any]] = {
    "integer": {"step": 1},
    "number": {"step": "any"},
    "decimal": {"step": "any"},
    "duration": {"placeholder": "5m, 1h 30m or 45s"},
}


class Unfinished(Exception):
    """The field was left empty: the task's own default is used."""


class ArgumentField(forms.Field):
    """One argument of a task: knows how to show it and how to read what a browser sends for it."""

    def __init__(self, parameter: Parameter, answers: Mapping[str, Any], user: User | None) -> None:
        self.parameter = parameter
        self.user = user
        argument = parameter.argument
        choices = argument.choices(answers) if callable(argument.choices) else argument.choices
        # A plain value is its own label.
        self.choices = [
            one if isinstance(one, (tuple, list)) else (one, str(one))
            for one in (choices if choices is not None else parameter.choices)
        ]
        default = argument.default(answers) if argument.default else parameter.default
        super().__init__(
            required=False,  # the schema says what is missing, in the same words for page and API
            label=parameter.title,
            help_text=self._help(),
            initial=as_text(parameter, default),
            widget=self._widget(),
        )
        # Whether its default follows other answers, and whether it stands there now.
        self.suggests = self.suggested = argument.default is not None
        self.group = argument.group
        self.visible = argument.visible(answers) if argument.visible else True

    def _help(self) -> str:
        """Return the help of the argument; a moment is asked for in a zone that is named."""
        if self.parameter.kind != "datetime":
            return self.parameter.argument.help
        return f"{self.parameter.argument.help} In the time zone {timezone.get_current_timezone_name()}.".strip()

    def _widget(self) -> forms.Widget:
        parameter = self.parameter
        if parameter.kind == "boolean":
            return forms.CheckboxInput()
        if parameter.kind == "file":
            return FileOrStored(parameter, self.user)
        if parameter.kind in {"model", "models"}:
            return self._rows()
        if self.choices:
            texts = [(_token(value), label) for value, label in self.choices]
            if parameter.kind == "list":
                return forms.CheckboxSelectMultiple(choices=texts)
            return forms.Select(choices=texts if parameter.required or not parameter.nullable else [("", "—"), *texts])
        return self._text()

    def _text(self) -> forms.Widget:
        parameter = self.parameter
        attrs: dict[str, Any] = {"data-needed": "true"} if parameter.required else {}
        if parameter.secret:
            return forms.PasswordInput(render_value=False, attrs={**attrs, "autocomplete": "new-password"})
        if parameter.argument.multiline:
            return forms.Textarea(attrs={**attrs, "rows": 5})
        if parameter.kind in _AREAS:
            return forms.Textarea(attrs={**attrs, **_AREAS[parameter.kind]})
        schema = _plain(parameter.schema)
        attrs |= {ours: schema[theirs] for theirs, ours in _LIMITS.items() if theirs in schema}
        widget = forms.TextInput(attrs={**attrs, **_ATTRS.get(parameter.kind, {})})
        widget.input_type = _HTML_TYPES.get(parameter.kind, "text")
        return widget

    def _rows(self) -> forms.Widget:
        model = self.parameter.model
        if model is None:
            return forms.TextInput()
        rows = visible_rows(model, self.user)
        found = [(str(row.pk), str(row)) for row in rows[: SHORT_LIST + 1]]
        if len(found) > SHORT_LIST:
            name = "ids, one a line" if self.parameter.kind == "models" else "its id"
            return forms.Textarea(attrs={"rows": 2, "placeholder": name, "data-search": self.parameter.name})
        if self.parameter.kind == "models":
            return forms.SelectMultiple(choices=found, attrs={"size": min(8, max(3, len(found)))})
        return forms.Select(choices=[("", "—"), *found])

    def read(self, value: Any) -> Any:
        """Return what the schema should check; raise Unfinished when the field was left empty and may be."""
        parameter = self.parameter
        if parameter.kind == "boolean":
            return bool(value)
        if value in (None, "", []):
            return self._empty()
        if parameter.kind in {"list", "models"} and isinstance(value, str):
            return [_loose(line.strip(), parameter.item) for line in value.splitlines() if line.strip()]
        if self.choices:
            return self._chosen(value)
        if parameter.kind == "json":
            return _json(value, parameter)
        if parameter.kind == "duration":
            return _duration(value)
        return _in_zone(value) if parameter.kind == "datetime" else value

    def _chosen(self, value: Any) -> Any:
        known = {_token(choice): choice for choice, _ in self.choices}
        for item in value if isinstance(value, list) else [value]:
            # What the hints allow is the schema's to say; what a task offers beyond them is said here.
            if item not in known and self.parameter.argument.choices is not None:
                raise forms.ValidationError(f"“{item}” is not offered now. Choose one of the list.")
        return [known.get(item, item) for item in value] if isinstance(value, list) else known.get(value, value)

    def _empty(self) -> Any:
        parameter = self.parameter
        if parameter.required and not parameter.nullable:
            if parameter.kind == "list":
                return []
            raise Unfinished
        if parameter.kind == "text" and not parameter.nullable and parameter.default:
            return ""  # someone emptied the field
        if parameter.nullable:
            return None
        raise Unfinished


class FileOrStored(forms.ClearableFileInput):
    """A file to upload, or the id of one that is stored already."""

    template_name = "jobroom/jobs/widgets/file.html"

    def __init__(self, parameter: Parameter, user: User | None) -> None:
        super().__init__(attrs={"accept": ",".join(parameter.argument.suffixes)} if parameter.argument.suffixes else {})
        self.user = user
        self.suffixes = parameter.argument.suffixes

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        """Render our own template, which Django's default renderer of forms does not find."""
        return super().render(name, value, attrs, TemplatesSetting())

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Any:
        """Return the upload, else the id."""
        return files.get(name) or data.get(f"{name}-stored") or data.get(name)

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        """Add the person's latest files to choose from."""
        context: dict[str, Any] = super().get_context(name, None, attrs)
        context["stored"] = [
            (str(file.pk), _described(file), str(file.pk) == str(value)) for file in self._offered(value)
        ]
        return context

    def shows(self, value: Any) -> bool:
        """Return whether the file with that id is among those to choose from."""
        return any(str(file.pk) == str(value) for file in self._offered(value))

    def _offered(self, chosen: Any) -> list[StoredFile]:
        """Return the file that is chosen and the latest that the field takes; of several with the same name and content the newest."""
        if self.user is None:
            return []
        right = functools.reduce(operator.or_, (Q(name__iendswith=one) for one in self.suffixes), Q())
        found: dict[tuple[str, str], StoredFile] = {}
        for file in StoredFile.objects.visible_to(self.user).filter(right).order_by("-created_at")[:100]:
            found.setdefault((file.name, file.sha256 or str(file.pk)), file)
        latest = list(found.values())[:20]
        if not chosen or any(str(file.pk) == str(chosen) for file in latest):
            return latest
        with contextlib.suppress(ValueError):
            return [*StoredFile.objects.visible_to(self.user).filter(pk=uuid.UUID(str(chosen))), *latest]
        return latest


def _described(file: StoredFile) -> str:
    """Return what distinguishes one file from another of the same name."""
    return f"{file.name} · {filesizeformat(file.size)} · {timezone.localtime(file.created_at):%Y-%m-%d %H:%M}"


def visible_rows(model: Any, user: User | None) -> Any:
    """Return the rows of `model` that may be chosen: those that its manager shows to `user` where it knows how."""
    rows = model._default_manager.all()
    shown = getattr(rows, "visible_to", None)
    return shown(user) if shown is not None and user is not None else rows


def _token(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of the value itself where None is allowed too."""
    options = [option for option in schema.get("anyOf", []) if option.get("type") != "null"]
    return {**schema, **options[0]} if options else schema


def _loose(text: str, item: str) -> Any:
    if item in {"", "json"}:
        try:
            return parse(text)
        except ValueError:
            return text
    return text


def _json(text: Any, parameter: Parameter) -> Any:
    if not isinstance(text, str):
        return text
    try:
        return parse(text)
    except WrongJson as error:
        raise forms.ValidationError(str(error)) from error
    except ValueError as error:
        if parameter.schema.get("type") is None and not parameter.schema.get("anyOf"):
            return text  # an argument of no particular type: what is no JSON is a text
        raise forms.ValidationError(f"This is not JSON: {error}.") from error


def _in_zone(text: Any) -> Any:
    """Return a moment without a zone as one in the zone in which the person reads times; other texts as they are."""
    try:
        found = parse_datetime(str(text))
    except ValueError:
        found = None
    if found is None or timezone.is_aware(found):
        return text
    return timezone.make_aware(found).isoformat()


def _local(iso: str) -> str:
    """Return a moment as the field shows it: in the zone in which the person reads times."""
    try:
        found = parse_datetime(iso)
    except ValueError:
        found = None
    if found is None:
        return iso
    return f"{timezone.localtime(found) if timezone.is_aware(found) else found:%Y-%m-%dT%H:%M}"


_UNITS = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}


def _duration(text: Any) -> Any:
    """Return `1h 30m` as a time span; what looks otherwise is left to the schema (ISO 8601, [D ]HH:MM:SS)."""
    parts = str(text).replace(" ", "").lower()
    if not parts.isascii():
        return text  # Python calls ² a digit, too
    spans: dict[str, float] = {}
    number = ""
    for character in parts:
        if character.isdigit() or character == ".":
            number += character
        elif character in _UNITS and number.count(".") <= 1 and number.strip("."):
            spans[_UNITS[character]] = float(number)
            number = ""
        else:
            return text
    if number or not spans:
        return text
    try:
        return datetime.timedelta(**spans)
    except (OverflowError, ValueError) as error:
        raise forms.ValidationError("This is longer than a duration can be.") from error


def as_text(parameter: Parameter, value: Any) -> Any:
    """Return a JSON value as the field shows it."""
    if value is None or parameter.kind in {"boolean", "file", "model", "models"}:
        return value
    if parameter.kind == "list" and isinstance(value, list):
        if parameter.choices or parameter.argument.choices:
            return [_token(item) for item in value]
        return "\n".join(_token(item) for item in value)
    if parameter.kind == "datetime" and isinstance(value, str):
        return _local(value)
    if parameter.kind == "duration" and isinstance(value, str):
        return _readable(value)
    if parameter.kind == "json" and not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False, indent=2, default=str)
    return _token(value)


def _readable(iso: str) -> str:
    if not iso.startswith("P"):
        return iso
    return (
        iso.removeprefix("P").replace("T", " ").replace("D", "d ").replace("H", "h ").replace("M", "m ").lower().strip()
    )

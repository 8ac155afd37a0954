"""A form whose fields are made from parameters: from those of a task's signature, or from those of a JSON Schema."""

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from django import forms

from jobroom.arguments import Parameter, WrongArguments
from jobroom.jobs import requester
from jobroom.jobs.forms.fields import ArgumentField, Unfinished, as_text
from jobroom.users import User


class SchemaForm(forms.Form):
    """Fields for parameters; each answer is read by its field, and checked by those who know the schema."""

    field_kind: ClassVar[type[ArgumentField]] = ArgumentField

    def add_fields(
        self, parameters: Iterable[Parameter], answers: Mapping[str, Any], user: User | None, start: Mapping[str, Any]
    ) -> None:
        """Make the fields as the answers so far have them; `start` is what the form starts with, as JSON."""
        with requester.asked_by(user):  # choices may depend on the person
            made = [(parameter, self.field_kind(parameter, answers, user)) for parameter in parameters]
        for parameter, field in made:
            if parameter.name in start:
                field.initial = as_text(parameter, start[parameter.name])
                field.suggested = False
            if field.visible:
                self.fields[parameter.name] = field

    def groups(self) -> list[tuple[str, list[forms.BoundField]]]:
        """Return the fields under their headings, in the order of the arguments."""
        found: dict[str, list[forms.BoundField]] = {}
        for name, field in self.fields.items():
            found.setdefault(getattr(field, "group", ""), []).append(self[name])
        return list(found.items())

    def read_all(self) -> dict[str, Any]:
        """Return the answers that can be read; each that cannot has its error, all of them at once."""
        found: dict[str, Any] = {}
        for name, field in self.fields.items():
            if isinstance(field, ArgumentField):
                with contextlib.suppress(Unfinished):
                    found |= self._read(name, field)
        return found

    def _read(self, name: str, field: ArgumentField) -> dict[str, Any]:
        try:
            return {name: self._stored(name, field.read(self.cleaned_data.get(name)), field)}
        except forms.ValidationError as error:
            self.add_error(name, error)
            return {}

    def _stored(self, name: str, value: Any, field: ArgumentField) -> Any:
        """Return the value, or what stands for one that is kept elsewhere."""
        return value

    def add_errors(self, wrong: WrongArguments) -> None:
        """Show what the schema, or the launch, says is wrong at the fields it names."""
        reported = set(self.errors)  # an answer that could not be read is absent for the schema
        for name, texts in wrong.errors.items():
            for text in texts if name not in reported else ():
                self.add_error(
                    name if name in self.fields else None, text if name in self.fields else f"{name}: {text}"
                )

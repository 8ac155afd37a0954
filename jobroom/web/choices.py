"""A choice of several rows, to which a number beyond all rows is none of the choices and not an error of the database."""

from contextlib import suppress
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import BigIntegerField


class RowsField(forms.ModelMultipleChoiceField):  # type: ignore[type-arg]
    """Rows of a table by their ids; Django's own field hands the database also a number that it cannot hold."""

    def clean(self, value: Any) -> Any:
        """Return the rows; raise ValidationError for what is none of the choices."""
        for one in value if isinstance(value, (list, tuple)) else ():
            if not _fits(str(one)):
                shown = {"pk": str(one)[:20]}
                raise ValidationError(self.error_messages["invalid_pk_value"], "invalid_pk_value", shown)
        return super().clean(value)


def _fits(text: str) -> bool:
    """Return whether the database can hold a number; what is no number is found out by Django."""
    with suppress(ValueError):  # Python does not read thousands of digits either
        return abs(int(text)) <= BigIntegerField.MAX_BIGINT
    return len(text) < 20

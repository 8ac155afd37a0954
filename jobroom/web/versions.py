"""Refuses forms and requests that would overwrite what others have written since (`If-Match`).

A version is a digest of what is stored, so it needs no column and no writer can forget it. A page keeps the version that it
showed in a hidden field, a client of the API sends it as `If-Match` (RFC 9110, 13.1.1). Who sends none does not ask.
"""

import functools
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, cast

from django import forms
from django.contrib.admin.utils import flatten_fieldsets
from django.db import connection
from django.db.models import Model
from django.forms.models import model_to_dict
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

# The hidden field of pages and of the admin's forms.
FIELD = "version"
NOTHING = "none"


class Difference(NamedTuple):
    """What one field holds now, and what the person wants it to hold."""

    label: str
    now: str
    mine: str


def digest(values: Mapping[str, Any]) -> str:
    """Return the version of these values."""
    text = json.dumps(values, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def version_of(row: Model | None, fields: Iterable[str]) -> str:
    """Return the version of a row's fields as they are in `row`; that of no row is a version too."""
    if row is None:
        return NOTHING
    values = model_to_dict(row, fields=list(fields))
    return digest({name: _plain(value) for name, value in values.items()})


def _plain(value: Any) -> Any:
    """Return the value, the rows of a relation as their sorted ids."""
    if isinstance(value, list) and value and isinstance(value[0], Model):
        return sorted(str(row.pk) for row in value)
    return value


def is_stale(request: HttpRequest, row: Model | None, fields: Iterable[str], field: str = FIELD) -> bool:
    """Return whether the page that this request comes from showed other values than are stored now."""
    given = request.POST.get(field)
    return given is not None and (given or NOTHING) != version_of(row, fields)


def conflict(
    request: HttpRequest, *, what: str, back: str, version: str, differences: Iterable[Difference], field: str = FIELD
) -> HttpResponse:
    """Answer 409 with both versions; the person keeps their own, by the same request once more, or the stored one.

    Args:
        request: the refused POST, whose fields are kept.
        what: what was changed by others, as a sentence begins with it.
        back: address of the page that shows what is stored.
        version: the present version, which the repeated request will name.
        differences: the fields, as they are stored and as the person wants them.
        field: name of the hidden field.

    """
    kept = [(name, value) for name, values in request.POST.lists() for value in values if name not in (field, _TOKEN)]
    context = {
        "what": what,
        "back": back,
        "kept": [*kept, (field, version)],
        "differences": list(differences),
        "address": request.get_full_path(),
    }
    return render(request, "jobroom/errors/conflict.html", context, status=409)


_TOKEN = "csrfmiddlewaretoken"  # noqa: S105 — a name


class _Hidden(forms.CharField):
    """A field that says nothing about the row, and so is never what was changed."""

    widget = forms.HiddenInput

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Return False."""
        return False


class VersionedForm(forms.ModelForm):  # type: ignore[type-arg]
    """A form of the admin that shows both when the row was saved by others since it was opened, and loses nothing."""

    version = _Hidden(required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk and not self.is_bound:
            self.initial[FIELD] = version_of(self.instance, self._compared())

    def _compared(self) -> list[str]:
        # What formsets add to a form of an inline (the row, its parent, DELETE) is none of what it shows.
        return [name for name in self.base_fields if name != FIELD and name in self.fields]

    def clean(self) -> Any:
        """Compare with what is stored now; both are shown, and the next save is meant."""
        self.cleaned_data.pop(FIELD, None)  # others take all of these for columns
        cleaned = super().clean()
        given = self.data.get(self.add_prefix(FIELD))
        stored = self._stored() if given and self.instance.pk else None
        if stored is None:
            return cleaned
        now = version_of(stored, self._compared())
        if now != given and (different := self._different(stored)):
            self._show(stored, different)
            shown: Any = self.data
            self.data = shown.copy()
            cast("Any", self.data)[self.add_prefix(FIELD)] = now
        return cleaned

    def _stored(self) -> Any:
        rows = type(self.instance)._default_manager.filter(pk=self.instance.pk)
        return (rows.select_for_update() if connection.in_atomic_block else rows).first()

    def _different(self, stored: Model) -> list[str]:
        values = model_to_dict(stored, fields=self._compared())
        return [
            name
            for name, value in values.items()
            if not self.fields[name].disabled and self.fields[name].has_changed(value, self[name].data)
        ]

    def _show(self, stored: Model, different: list[str]) -> None:
        labels = ", ".join(f"“{self.fields[name].label}”" for name in different)
        self.add_error(
            None,
            "Others saved this after you opened it, so nothing has been saved. What is stored now stands at the fields that "
            f"differ ({labels}). Save again to keep what you see here, or open the page again to take what is stored.",
        )
        for name in different:
            self.add_error(name, f"Stored now: {shown(stored, name)}")


def shown(row: Model, name: str) -> str:
    """Return what a field of a stored row holds, in words."""
    field = row._meta.get_field(name)
    value = getattr(row, name)
    if field.many_to_many:
        return ", ".join(sorted(str(each) for each in value.all())) or "nothing"
    if getattr(field, "choices", None):
        return str(getattr(row, f"get_{name}_display")())
    return str(value) if value not in (None, "") else "nothing"


class _Versioned:
    """Puts the hidden field into the first fieldset of an admin whose rows may be changed."""

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return the fieldsets, with the hidden field in the first."""
        found = super().get_fieldsets(request, obj)  # type: ignore[misc]
        if obj is None or not self._may_change(request, obj) or FIELD in flatten_fieldsets(found) or not found:
            return found
        (title, options), *rest = found
        return [(title, {**options, "fields": [*options["fields"], FIELD]}), *rest]

    def _may_change(self, request: HttpRequest, obj: Any) -> bool:
        return bool(self.has_change_permission(request, obj))  # type: ignore[attr-defined]

    def _form(self, form: Any) -> Any:
        base = form or self.form  # type: ignore[attr-defined]
        return type(base.__name__, (VersionedForm, base), {})


class VersionedInline(_Versioned):
    """Lets the rows of any inline compare versions; to be put before it."""

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        """Return the forms, those of stored rows with the version that they show."""
        if obj is not None and self._may_change(request, obj):
            kwargs["form"] = self._form(kwargs.get("form"))
        return super().get_formset(request, obj, **kwargs)  # type: ignore[misc]


class VersionedAdmin(_Versioned):
    """Lets any ModelAdmin and its inlines compare versions; to be put before it."""

    def get_inlines(self, request: HttpRequest, obj: Any) -> list[Any]:
        """Return the inlines, each as one that compares."""
        found = super().get_inlines(request, obj)  # type: ignore[misc]
        return [one if issubclass(one, VersionedInline) else _versioned_inline(one) for one in found]

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """Return the form, of a stored row with the version that it shows."""
        if obj is not None and self._may_change(request, obj):
            kwargs["form"] = self._form(kwargs.get("form"))
        return super().get_form(request, obj, change=change, **kwargs)  # type: ignore[misc]


@functools.cache
def _versioned_inline(inline: Any) -> Any:
    return type(
        inline.__name__, (VersionedInline, inline), {"__module__": inline.__module__, "__doc__": inline.__doc__}
    )

"""Shows on a form what a service found wrong."""

from django import forms

from jobroom.arguments import WrongArguments


def add_errors(form: forms.Form, wrong: WrongArguments) -> None:
    """Add each error to its field; those of what the form does not ask for stand above it."""
    for name, texts in wrong.errors.items():
        form.add_error(name if name in form.fields else None, texts)

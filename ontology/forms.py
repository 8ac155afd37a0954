"""The form that loads a vocabulary."""

from typing import Any, cast

from django import forms
from django.core.files.uploadedfile import UploadedFile

from jobroom.jobs.models import Job, Source
from jobroom.users import User
from ontology import services
from ontology.exceptions import Refused


class LoadForm(forms.Form):
    """A file, and the vocabulary that it is to be."""

    name = forms.CharField(
        max_length=50,
        label="Name",
        widget=forms.TextInput(
            attrs={"list": "vocabulary-names", "placeholder": "organism_part", "autocomplete": "off"}
        ),
        error_messages={"required": "Give the vocabulary a name."},
    )
    file = forms.FileField(
        label="File",
        allow_empty_file=True,  # our own words for it name the remedy
        max_length=1000,
        widget=forms.ClearableFileInput(attrs={"accept": ".obo,.owl,.rdf,.xml"}),
        error_messages={"required": "Choose a file."},
    )

    def save(self, by: User) -> Job | None:
        """Launch the job that loads it; return None, and say why in the form, when it is refused."""
        file = cast("UploadedFile[Any]", self.cleaned_data["file"])
        try:
            return services.upload(name=self.cleaned_data["name"], upload=file, by=by, source=Source.PAGE)
        except Refused as refused:
            self.add_error(refused.field, str(refused))
            return None

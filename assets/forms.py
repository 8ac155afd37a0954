"""The upload form."""

from typing import Any, cast

from django import forms
from django.core.files.uploadedfile import UploadedFile

from assets import services
from assets.exceptions import Refused
from assets.geometry.formats import FORMATS
from assets.models import Asset
from jobroom.users import User


class UploadForm(forms.Form):
    """A mesh and what to call it."""

    file = forms.FileField(
        label="Mesh",
        allow_empty_file=True,  # our own words for it name the remedy
        max_length=1000,
        widget=forms.ClearableFileInput(attrs={"accept": ",".join(f".{suffix}" for suffix in FORMATS)}),
        error_messages={"required": "Choose a file."},
    )
    name = forms.CharField(required=False, max_length=255, label="Name", help_text="Empty: that of the file")

    def save(self, owner: User) -> Asset | None:
        """Keep the mesh; return None, and say why in the form, when it is refused."""
        upload = cast("UploadedFile[Any]", self.cleaned_data["file"])
        try:
            return services.add(upload=upload, name=self.cleaned_data["name"], owner=owner)
        except Refused as refused:
            self.add_error(refused.field, str(refused))
            return None

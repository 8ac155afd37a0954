"""The form of a submission with its records; each compares versions, so none overwrites what others have saved."""

from collections.abc import Sequence
from typing import Any, cast

from django import forms
from django.forms.models import BaseInlineFormSet, inlineformset_factory

from biosample.models import Record, Submission
from biosample.states import State
from jobroom.users import User
from jobroom.web.versions import FIELD, VersionedForm, version_of

# Records that a page offers to change; a longer list is written by USI, and read on its own page.
MOST = 200
# Empty rows for further records.
SPARE = 3
# While USI has them, or for ever after, records are what was sent.
SENT = frozenset({State.SUBMITTED, State.COMPLETED})


class PersonField(forms.ModelChoiceField):  # type: ignore[type-arg]
    """A person by the name with which they log in."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            User.objects.filter(is_active=True),
            to_field_name=User.USERNAME_FIELD,
            widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none"}),
            error_messages={
                "required": "Write who owns the submission: the name with which the person logs in.",
                "invalid_choice": "No one logs in with this name. Write it as it stands in the list of submissions.",
            },
            **options,
        )

    def prepare_value(self, value: Any) -> Any:
        """Return the name, also for what a row holds."""
        if isinstance(value, int):
            value = User.objects.filter(pk=value).first()
        return super().prepare_value(value)


class SubmissionForm(VersionedForm):
    """Title, owner and name in USI; who is no staff owns what they add."""

    owner = PersonField(help_text="Gets a mail when something has to be corrected.")

    class Meta:
        model = Submission
        fields = ("title", "owner", "usi_name")
        error_messages = {"title": {"required": "Give the submission a title."}}

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not user.is_staff:
            del self.fields["owner"]
            if FIELD in self.initial:  # of what this form shows
                self.initial[FIELD] = version_of(self.instance, self._compared())
            if self.instance.owner_id is None:
                self.instance.owner = user
        if self.instance.state in SENT:
            self.fields["usi_name"].disabled = True
            self.fields["usi_name"].help_text = "It stays what it is while USI has the submission."

    def clean_usi_name(self) -> str:
        """Refuse a name that another submission has."""
        name: str = self.cleaned_data["usi_name"]
        if name and Submission.objects.filter(usi_name=name).exclude(pk=self.instance.pk).exists():
            raise forms.ValidationError("Another submission has this name in USI: give each its own.")
        return name


class RecordForm(VersionedForm):
    """One animal or sample in someone's words."""

    class Meta:
        model = Record
        fields = ("alias", "kind", "species", "breed", "organism_part")
        error_messages = {"alias": {"required": "Give the record an alias, or empty its row."}}


class RecordFormSet(BaseInlineFormSet):  # type: ignore[type-arg]
    """The records of one submission."""

    def get_unique_error_message(self, unique_check: Sequence[str]) -> str:
        """Return what is wrong with a record that is there twice."""
        return "Two records have the same alias: give each its own."

    def get_form_error(self) -> str:
        """Return the same, beside the second of them."""
        return "Another record of this submission has this alias."


_RECORDS = inlineformset_factory(
    Submission,
    Record,
    form=RecordForm,
    formset=RecordFormSet,
    extra=SPARE,
    max_num=MOST,
    validate_max=True,
    can_delete_extra=False,
    absolute_max=MOST + 1,
)


def records_of(submission: Submission, data: Any = None, *, more: int = 0) -> RecordFormSet | None:
    """Return the forms of a submission's records with `more` empty ones; None where they cannot be changed here."""
    if submission.pk and (submission.state in SENT or submission.records.count() > MOST):
        return None
    if data is not None and more:
        data = data.copy()
        total = "records-TOTAL_FORMS"
        given = data.get(total, "")
        count = int(given) if given.isascii() and given.isdigit() and len(given) < 6 else 0
        data[total] = str(min(count + more, MOST))
    return cast("RecordFormSet", _RECORDS(data, instance=submission, prefix="records"))

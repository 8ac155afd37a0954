"""What people write down of a submission and its records: saved without what the machine may have written meanwhile."""

from typing import Any

from biosample.exceptions import NotPermitted
from biosample.forms import RecordFormSet, SubmissionForm
from biosample.models import Submission
from jobroom.signals import acted
from jobroom.users import User

WORDS = {"add": "Adding", "change": "Changing"}


def may(user: User, act: str) -> bool:
    """Return whether the user may `add` or `change` submissions: by Django's permission of the model."""
    return user.is_active and user.has_perm(f"biosample.{act}_submission")


def check(user: User, act: str) -> None:
    """Raise NotPermitted, which names the permission, where the user may not."""
    if not may(user, act):
        raise NotPermitted(f"{WORDS[act]} a submission needs the permission “Can {act} submission”.")


def save(*, by: User, form: SubmissionForm, records: RecordFormSet | None) -> Submission:
    """Save what was typed, of a stored row only the columns that were changed; both forms have been found valid."""
    submission: Submission = form.instance
    is_new = submission.pk is None
    submission.save(update_fields=None if is_new else [*form.changed_data, "updated_at"])
    said = [] if is_new else list(form.changed_data)
    if records is not None:
        said += _save_records(records)
    if is_new or said:
        _report(by, submission, "added" if is_new else "changed", ", ".join(said))
    return submission


def _save_records(records: RecordFormSet) -> list[str]:
    records.save(commit=False)
    for gone in records.deleted_objects:
        gone.delete()
    for record, changed in records.changed_objects:
        record.save(update_fields=[*changed, "updated_at"])
    for record in records.new_objects:
        record.save()
    counts = {
        "added": records.new_objects,
        "changed": records.changed_objects,
        "deleted": records.deleted_objects,
    }
    return [f"{len(rows)} record{'' if len(rows) == 1 else 's'} {word}" for word, rows in counts.items() if rows]


def submit(*, by: User, submission: Submission) -> None:
    """Say that it is in USI; from now on its status is fetched. Raises InvalidTransition."""
    submission.submit()
    _report(by, submission, "submitted", "")


def _report(by: User, submission: Submission, action: str, outcome: Any) -> None:
    acted.send(
        sender=Submission,
        who=by.get_username(),
        action=action,
        kind="submission",
        target=f"{submission.pk} {submission.title}",
        outcome=outcome,
    )

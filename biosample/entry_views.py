"""Adding a submission, changing it, and saying that it is in USI."""

from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from biosample.exceptions import InvalidTransition, NotPermitted
from biosample.forms import MOST, SENT, SPARE, RecordFormSet, SubmissionForm, records_of
from biosample.models import Submission
from biosample.services import entry
from jobroom.jobs.views.actions import SeeOther
from jobroom.users import User


def _user(request: HttpRequest) -> User:
    return cast("User", request.user)  # login_required has seen to it


def _check(request: HttpRequest, act: str) -> None:
    try:
        entry.check(_user(request), act)
    except NotPermitted as error:
        raise PermissionDenied(str(error)) from error


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def add(request: HttpRequest) -> HttpResponse:
    """Add a submission with its records."""
    _check(request, "add")
    return _edit(request, Submission(state=Submission._meta.get_field("state").get_default()))


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, submission_id: int) -> HttpResponse:
    """Change a submission and its records; who may not see it learns nothing, not even that it exists."""
    found = get_object_or_404(Submission.objects.visible_to(_user(request)), pk=submission_id)
    _check(request, "change")
    return _edit(request, found)


@login_required
@require_POST
def submit(request: HttpRequest, submission_id: int) -> HttpResponse:
    """Say that the submission is in USI, so that its status is fetched."""
    found = get_object_or_404(Submission.objects.visible_to(_user(request)), pk=submission_id)
    _check(request, "change")
    try:
        entry.submit(by=_user(request), submission=found)
    except InvalidTransition as error:
        messages.error(request, str(error))
    else:
        messages.success(request, "Marked as submitted: its status in USI is fetched from now on.")
    return SeeOther(found.get_absolute_url())


def _edit(request: HttpRequest, row: Submission) -> HttpResponse:
    user = _user(request)
    initial = {} if row.pk else {"owner": user.get_username()}
    if request.method != "POST":
        return _page(request, SubmissionForm(instance=row, user=user, initial=initial), records_of(row))
    if "more" in request.POST:
        form = SubmissionForm(request.POST, instance=row, user=user)
        return _page(request, form, records_of(row, request.POST, more=SPARE), quiet=True)
    try:
        with transaction.atomic():
            if row.pk:
                row = get_object_or_404(Submission.objects.select_for_update(), pk=row.pk)
            form, records = SubmissionForm(request.POST, instance=row, user=user), records_of(row, request.POST)
            if _is_valid(request, form, records):
                entry.save(by=user, form=form, records=records)
                messages.success(request, "The submission is kept.")
                return SeeOther(row.get_absolute_url())
    except IntegrityError:
        form.add_error(None, "Others saved the same name or alias at this moment, so nothing was saved. Try again.")
    return _page(request, form, records)


def _is_valid(request: HttpRequest, form: SubmissionForm, records: RecordFormSet | None) -> bool:
    valid = form.is_valid()
    if records is not None:
        return bool(records.is_valid()) and valid
    if "records-TOTAL_FORMS" in request.POST:
        form.add_error(
            None,
            "The records can no longer be changed here, because the submission was sent, or has too many, since you opened "
            "the page. Nothing was saved; save again to keep the rest.",
        )
        return False
    return valid


def _page(
    request: HttpRequest, form: SubmissionForm, records: RecordFormSet | None, *, quiet: bool = False
) -> HttpResponse:
    row: Any = form.instance
    wrong = (
        not quiet and form.is_bound and (bool(form.errors) or (records is not None and records.total_error_count() > 0))
    )
    context = {
        "form": form,
        "records": records,
        "row": row if row.pk else None,
        "title": Submission.objects.filter(pk=row.pk).values_list("title", flat=True).first() if row.pk else "",
        "is_sent": row.state in SENT,
        "most": MOST,
        "quiet": quiet,
    }
    return render(request, "biosample/edit.html", context, status=422 if wrong else 200)

"""Changes the policy of a schedule from its page."""

from functools import partial
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from jobroom.arguments import WrongArguments
from jobroom.jobs.exceptions import Changed
from jobroom.jobs.views.actions import SeeOther
from jobroom.schedules.page_policy import PolicyForm
from jobroom.schedules.services import policy
from jobroom.schedules.views.errors import add_errors
from jobroom.schedules.views.lookup import person, schedule_or_404
from jobroom.web.versions import Difference, conflict


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def edit_policy(request: HttpRequest, schedule_id: int) -> HttpResponse:
    """Show what the schedule does when its runs overlap or were missed; on POST change it."""
    row = schedule_or_404(request, schedule_id)
    form = PolicyForm(request.POST or None, initial=policy.values(row))
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        stale = request.POST.get("version", policy.version(row)) != policy.version(row)
        if stale:
            return _both(request, row, given)
        try:
            said = policy.change(row, by=person(request), given=given, check_version=partial(_check, request))
        except WrongArguments as wrong:
            add_errors(form, wrong)
        except Changed as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, f"The policy is changed: {'; '.join(said)}." if said else "Nothing was changed.")
            return SeeOther(reverse("jobroom:schedules:schedule", args=[row.pk]))
    context = {"form": form, "row": row, "version": request.POST.get("version") or policy.version(row)}
    return render(request, "jobroom/schedules/policy.html", context, status=422 if form.errors else 200)


def _check(request: HttpRequest, stored: str) -> None:
    if request.POST.get("version", stored) != stored:
        raise Changed("Others saved the policy at this moment, so nothing was saved. Save again to see both.")


def _both(request: HttpRequest, row: Any, given: dict[str, Any]) -> HttpResponse:
    stored = policy.values(row)
    labels = {name: str(field.label) for name, field in PolicyForm.base_fields.items()}
    return conflict(
        request,
        what="The policy",
        back=reverse("jobroom:schedules:schedule", args=[row.pk]),
        version=policy.version(row),
        differences=[
            Difference(labels[name], policy.shown(stored[name]), policy.shown(value))
            for name, value in given.items()
            if value != stored[name]
        ],
    )

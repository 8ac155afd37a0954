"""The staff's page of deadlines: what is expected of the jobs of a task or schedule, so that the others are late."""

from typing import Any, cast

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from jobroom.arguments import WrongArguments
from jobroom.jobs import catalogue, deadline_rules, policies
from jobroom.jobs.exceptions import NotAllowed, NotNow
from jobroom.jobs.models import Expectation, ExpectedOf
from jobroom.jobs.views.actions import SeeOther
from jobroom.users import User
from jobroom.web.staff import staff_only

_FIELDS = ("of", "name", *deadline_rules.TIMES)


@staff_only
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def deadlines(request: HttpRequest) -> HttpResponse:
    """Show what is expected, and keep one more."""
    user = cast("User", request.user)  # staff_only has seen to it
    given = {name: request.POST.get(name, "").strip()[:255] for name in _FIELDS}
    wrong: dict[str, list[str]] = {}
    if request.method == "POST":
        try:
            row = deadline_rules.add(of=given["of"], name=given["name"], times=_times(given), by=user)
        except NotAllowed as reason:
            raise PermissionDenied(str(reason)) from reason
        except NotNow as reason:
            wrong = {"name": [str(reason)]}
        except WrongArguments as found:
            wrong = found.errors
        else:
            messages.success(request, f"Expected of the {row}: {deadline_rules.said(row)}.")
            return SeeOther(reverse("jobroom:jobs:deadlines"))
    context = {
        "rows": [(row, deadline_rules.said(row)) for row in Expectation.objects.order_by("of", "name")],
        "kinds": ExpectedOf.choices,
        "tasks": catalogue.tracked_names(),
        "given": given,
        "fields": [(name, _LABELS[name], given[name], wrong.get(name, [])) for name in deadline_rules.TIMES],
        "wrong": wrong,
        "may": policies.may_expect(user),
    }
    return render(request, "jobroom/jobs/deadlines.html", context, status=400 if wrong else 200)


_LABELS = {
    "within": "Ends within, seconds",
    "usual": "Runs at most, seconds",
    "silent": "Silent at most, seconds",
}


def _times(given: dict[str, Any]) -> dict[str, Any]:
    return {n: int(given[n]) if given[n].isascii() and given[n].isdigit() else given[n] for n in deadline_rules.TIMES}


@staff_only
@require_POST
def drop(request: HttpRequest, expectation_id: int) -> HttpResponse:
    """Delete it."""
    row = get_object_or_404(Expectation, pk=expectation_id)
    try:
        deadline_rules.drop(row=row, by=cast("User", request.user))
        messages.success(request, f"Nothing more is expected of the {row}.")
    except NotAllowed as reason:
        raise PermissionDenied(str(reason)) from reason
    except NotNow as reason:
        messages.error(request, str(reason))
    return SeeOther(reverse("jobroom:jobs:deadlines"))

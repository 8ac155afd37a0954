"""The pages of the submissions, for their owners and the staff."""

from typing import cast

from django.contrib.auth.decorators import login_required
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from biosample import term_display
from biosample.models import REACHED_FROM, Attribute, Submission
from biosample.services import entry
from biosample.states import State
from jobroom.jobs.models import ACTIVE, Job
from jobroom.jobs.policies import may_launch
from jobroom.users import User
from jobroom.web.cursors import newest_first, number

# Submissions, and records of one, on a page; and its latest jobs.
PAGE = 50
RECORDS = 100
JOBS = 5
ANNOTATE = "biosample.annotate_submission"
FETCH = "Fetch USI status"


def _user(request: HttpRequest) -> User:
    return cast("User", request.user)  # login_required has seen to it


@login_required
@never_cache
@require_safe
def submission_list(request: HttpRequest) -> HttpResponse:
    """Show the submissions, newest first."""
    rows = Submission.objects.visible_to(_user(request)).select_related("owner").annotate(count=Count("records"))
    context = {"page": newest_first(rows, request.GET, PAGE), "may_add": entry.may(_user(request), "add")}
    return render(request, "biosample/list.html", context)


@login_required
@never_cache
@require_safe
def submission(request: HttpRequest, submission_id: int) -> HttpResponse:
    """Show one submission with the terms of its records; who may not see it learns nothing, not even that it exists."""
    user = _user(request)
    found = get_object_or_404(Submission.objects.visible_to(user).select_related("owner"), pk=submission_id)
    after = number(request.GET, "after") or 0
    records = list(found.records.filter(pk__gt=after).order_by("pk").prefetch_related("annotations")[: RECORDS + 1])
    ids = [found.pk, str(found.pk)]
    jobs = Job.objects.visible_to(user).filter(task=ANNOTATE, kwargs__submission__in=ids).newest_first()[:JOBS]
    context = {
        "submission": found,
        "rows": term_display.rows(records[:RECORDS]),
        "attributes": Attribute.labels,
        "next": records[RECORDS - 1].pk if len(records) > RECORDS else None,
        "is_first_page": not after,
        "unmatched": term_display.unmatched(found),
        "counts": term_display.counts(found),
        "jobs": jobs,
        "active": any(job.state in ACTIVE for job in jobs),
        "may_annotate": may_launch(user, ANNOTATE),
        "may_change": entry.may(user, "change"),
        "can_submit": found.state in REACHED_FROM[State.SUBMITTED],
        "may_fetch": found.state == State.SUBMITTED and may_launch(user, FETCH),
        "fetch": FETCH,
        "rendered_at": timezone.now(),
    }
    return render(request, "biosample/submission.html", context)

"""Many jobs at once: first a page with a preview, then the action."""

from datetime import datetime
from typing import cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from jobroom.jobs import bulk
from jobroom.jobs.filters import LOOKED, JobFilter
from jobroom.jobs.models import Job
from jobroom.jobs.views.actions import SeeOther
from jobroom.users import User


@login_required
@never_cache
@require_POST
def on_many(request: HttpRequest) -> HttpResponse:
    """Ask what exactly is wanted; once that is confirmed do it, here or in a job of its own when it is much."""
    user = cast("User", request.user)  # login_required has seen to it
    action = bulk.action_called(request.POST.get("action", ""))
    wanted = _choice(request, user)
    back = reverse("jobroom:jobs:jobs") + JobFilter(wanted.query, user).link()
    if action is None or (not wanted.ids and "all" not in request.POST):
        messages.error(request, "Tick the jobs first, or “all that match”, then choose what to do with them.")
        return SeeOther(back)
    if "confirmed" in request.POST:
        return _done(request, action, wanted, user, back)
    plan = bulk.plan(action, wanted, user)
    examples = Job.objects.without_bulk().select_related("owner").filter(pk__in=plan.newest).newest_first()
    context = {
        "action": action,
        "choice": wanted,
        "plan": plan,
        "examples": list(examples),
        "at_once": bulk.AT_ONCE,
        "back": back,
    }
    return render(request, "jobroom/jobs/bulk.html", context)


def _choice(request: HttpRequest, user: User) -> bulk.Choice:
    """Return what was chosen: every job of the filter up to the moment that the person saw, or single ones."""
    query = {key.removeprefix("f-"): value for key, value in request.POST.items() if key.startswith("f-")}
    parts = JobFilter({key: str(value) for key, value in query.items()}, user).parts
    if "all" in request.POST:
        return bulk.Choice(parts, (), _moment(request.POST.get("until", "")))
    ids = [value.replace("\x00", "") for value in request.POST.getlist("job")]
    return bulk.Choice(parts, tuple(ids[: bulk.MOST_IDS]), _moment(request.POST.get("until", "")))


def _moment(text: str) -> datetime:
    """Return the moment that the form carries; now when it carries none or nonsense."""
    try:
        found = parse_datetime(text)
    except ValueError:
        found = None
    return found if found is not None and timezone.is_aware(found) else timezone.now()


def _done(request: HttpRequest, action: bulk.Action, wanted: bulk.Choice, user: User, back: str) -> HttpResponse:
    if wanted.search(user).look(most=bulk.AT_ONCE + 1, seconds=LOOKED).upto is not None:
        until = wanted.until or timezone.now()
        job = bulk.in_background(action, wanted, user, until)
        messages.success(request, "It goes on in this job, which shows how far it is.")
        return SeeOther(job.get_absolute_url())
    outcome = bulk.at_once(action, wanted, user)
    show = messages.success if outcome.done and not outcome.stopped else messages.error
    show(request, bulk.sentence(action, outcome))
    return SeeOther(back)

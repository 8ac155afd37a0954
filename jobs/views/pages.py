"""The pages of the jobs."""

import itertools
from collections.abc import Mapping, Sequence
from typing import cast

from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from common import stream
from common.exceptions import RedisUnavailable
from jobs import catalogue, policies
from jobs.filters import JobFilter, counts, jobs_at
from jobs.models import Job, State, StoredFile

# Rows of a list on the overview.
SHORT = 8
# Lines of a job's log that its page shows, the last ones.
LINES = 500
# From the least to the most serious; the page shows the chosen one and those after it.
LEVELS = ["debug", "info", "warning", "error"]
# Attempts that a job's page shows, the last ones.
ATTEMPTS = 50
# Files that it made and that its page lists.
FILES = 200
# A book that is less behind counts as up to date.
FRESH = 2.0


def _user(request: HttpRequest) -> User:
    return cast("User", request.user)  # login_required has seen to it


def freshness() -> dict[str, object]:
    """Return what a page says about how far the book is behind."""
    try:
        lag = stream.lag()
    except RedisUnavailable:
        return {"redis_away": True, "rendered_at": timezone.now()}
    return {"lag": lag, "behind": lag.seconds > FRESH, "rendered_at": timezone.now()}


def _newest(user: User, lists: Mapping[str, Sequence[str]]) -> dict[str, list[Job]]:
    """Return for each list the newest jobs in its states; a state is sought by itself, as it has its place in an index."""
    sought = {
        name: [place for state in states for place in JobFilter({"state": state}, user, SHORT).places]
        for name, states in lists.items()
    }
    jobs = jobs_at(itertools.chain.from_iterable(sought.values()))
    return {
        name: [jobs[at] for at in sorted(places, reverse=True) if at in jobs][:SHORT] for name, places in sought.items()
    }


@login_required
@never_cache
@require_safe
def overview(request: HttpRequest) -> HttpResponse:
    """Show how many jobs are in each state, what runs, and what went wrong lately."""
    user = _user(request)
    numbers = counts(user)
    return render(
        request,
        "jobs/overview.html",
        {
            "counts": numbers,
            "any": any(number.number for number in numbers.values()),
            **_newest(user, {"running": [State.RUNNING], "failures": [State.FAILED, State.LOST], "latest": [""]}),
            **freshness(),
        },
    )


@login_required
@never_cache
@require_safe
def job_list(request: HttpRequest) -> HttpResponse:
    """Show the jobs that the address asks for."""
    user = _user(request)
    wanted = JobFilter(request.GET.dict(), user)
    may_act = any(policies.may_cancel(user, job) for job in wanted.rows)
    context = {
        "filter": wanted,
        "total": wanted.total,
        "may_act": may_act,
        "why_not_act": ""
        if may_act
        else "You may only look at these jobs: their owners, staff, and groups with the right may act.",
    }
    return render(request, "jobs/list.html", {**context, **freshness()})


@login_required
@never_cache
@require_safe
def job(request: HttpRequest, job_id: str) -> HttpResponse:
    """Show one job; who may not see it learns nothing, not even that it exists."""
    visible = Job.objects.visible_to(_user(request))
    found = get_object_or_404(visible.select_related("owner"), pk=job_id.replace("\x00", ""))
    level = request.GET.get("level", "")
    shown = (
        found.log_lines.filter(level__in=LEVELS[LEVELS.index(level) :]) if level in LEVELS else found.log_lines.all()
    )
    lines = list(shown.order_by("-pk")[: LINES + 1])
    related = visible.in_bulk({pk for pk in (found.holder, found.parent_id, found.answer_of) if pk})
    return render(
        request,
        "jobs/job.html",
        {
            "job": found,
            "readable": policies.may_see_arguments(_user(request), found),
            "arguments": catalogue.named_arguments(found),
            "attempts": list(found.attempt_set.order_by("-number")[:ATTEMPTS]),
            "lines": lines[LINES - 1 :: -1] if len(lines) > LINES else lines[::-1],
            "more_lines": len(lines) > LINES,
            "level": level if level in LEVELS else "",
            "levels": LEVELS,
            "holder": related.get(found.holder),
            "parent": related.get(found.parent_id),
            "files": list(StoredFile.objects.made_by(found)[:FILES]),
            "computing": related.get(found.answer_of),
            # The second condition is that of the index.
            "children": list(
                visible.without_bulk()
                .filter(parent_id=found.pk)
                .exclude(parent_id="")
                .order_by("created_at")[:ATTEMPTS]
            ),
            **freshness(),
        },
    )


@login_required
@never_cache
@require_safe
def task_list(request: HttpRequest) -> HttpResponse:
    """Show the tasks that the person may launch, or whose jobs the person may see, under their apps."""
    tasks = sorted(catalogue.open_to(_user(request)), key=lambda task: (task.app, task.title.lower()))
    return render(request, "jobs/tasks.html", {"tasks": tasks})

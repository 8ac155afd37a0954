"""The staff's page of cached results: how many, how large, how often used, and a button that deletes them."""

from typing import Any

from celery import current_app
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from jobroom import redis
from jobroom.cache import maintenance
from jobroom.cache.identity import kept_seconds
from jobroom.conf import settings
from jobroom.jobs.views.actions import SeeOther
from jobroom.signals import acted
from jobroom.web.staff import staff_only


@staff_only
@never_cache
@require_safe
def answers(request: HttpRequest) -> HttpResponse:
    """Show what is kept of each task."""
    try:
        found = {one.task: one for one in maintenance.tallies()}
    except (redis.Error, OSError):
        return render(request, "jobroom/jobs/answers.html", {"away": True}, status=503)
    # Also tasks that have kept nothing yet.
    keepers: dict[str, Any] = {name: kept_seconds(task) for name, task in current_app.tasks.items()}
    for name, seconds in keepers.items():
        if seconds is not None:
            found.setdefault(name, maintenance.Tally(name))
    rows = [(found[name], keepers.get(name)) for name in sorted(found, key=str.lower)]
    context = {
        "rows": rows,
        "kept": sum(tally.kept for tally, _ in rows),
        "bytes": sum(tally.bytes for tally, _ in rows),
        "limit": settings.ANSWERS_LIMIT,
    }
    return render(request, "jobroom/jobs/answers.html", context)


@staff_only
@require_POST
def purge(request: HttpRequest) -> HttpResponse:
    """Forget the answers of one task, or all."""
    task = request.POST.get("task", "")
    try:
        count = maintenance.purge(task=task)
    except (redis.Error, OSError):
        messages.error(request, "Redis does not answer, so nothing was forgotten. Try again in a moment.")
    else:
        who = request.user.get_username()
        acted.send(
            sender=HttpRequest,
            who=who,
            action="cleared",
            kind="cache",
            target=task or "all",
            outcome=f"{count:,} answers.",
        )
        what = f"{count:,} answer{'' if count == 1 else 's'}{f' of {task}' if task else ''}"
        messages.success(request, f"Forgot {what}. Jobs that have got one keep it.")
    return SeeOther(reverse("jobroom:jobs:answers"))

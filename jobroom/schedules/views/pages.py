"""The list of schedules, and the page of one."""

from typing import Any

from celery import current_app
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from jobroom.jobs import policies as job_policies
from jobroom.jobs.catalogue import named_arguments
from jobroom.jobs.filters import JobFilter
from jobroom.jobs.models import Job
from jobroom.schedules import policies, services
from jobroom.schedules.exceptions import UnusableSchedule
from jobroom.schedules.filters import ScheduleFilter, rows_of
from jobroom.schedules.views.lookup import person, schedule_or_404

# Next runs, and latest jobs, that the page of one schedule shows.
RUNS, JOBS = 10, 10


@login_required
@never_cache
@require_safe
def schedule_list(request: HttpRequest) -> HttpResponse:
    """Show the schedules that the address asks for."""
    wanted = ScheduleFilter(request.GET.dict(), person(request))
    return render(
        request, "jobroom/schedules/list.html", {"filter": wanted, "rows": wanted.rows, "rendered_at": timezone.now()}
    )


@login_required
@never_cache
@require_safe
def schedule(request: HttpRequest, schedule_id: int) -> HttpResponse:
    """Show one schedule: when it runs next, how its jobs went, and what can be done with it."""
    found = schedule_or_404(request, schedule_id)
    user = person(request)
    (row,) = rows_of([found], user)
    context = {
        "row": row,
        "schedule": found,
        "runs": row.runs(RUNS),
        "arguments": _arguments(found),
        "known": found.task in current_app.tasks,
        "may_launch": job_policies.may_launch(user, found.task),
        "jobs": JobFilter({"schedule": found.name}, user, JOBS).rows,
        "why_not_delete": policies.why_not_delete(found),
        "in_admin": user.is_staff and user.has_perm("django_celery_beat.view_periodictask"),
        "rendered_at": timezone.now(),
    }
    return render(request, "jobroom/schedules/schedule.html", context)


def _arguments(row: Any) -> list[tuple[str, Any]]:
    """Return the arguments of the schedule's jobs by name; none where they cannot be read."""
    try:
        args, kwargs, _ = services.message(row)
    except UnusableSchedule:
        return []
    return named_arguments(Job(task=row.task, args=args, kwargs=kwargs))

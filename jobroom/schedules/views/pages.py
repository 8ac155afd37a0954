"""The list of schedules, and the page of one."""

from typing import Any

from celery import current_app
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from django_celery_beat.models import PeriodicTask

from jobroom.jobs import policies as job_policies
from jobroom.jobs.catalogue import arguments_seen_by
from jobroom.jobs.filters import JobFilter
from jobroom.jobs.models import Job
from jobroom.schedules import policies, services
from jobroom.schedules.exceptions import UnusableSchedule
from jobroom.schedules.filters import ScheduleFilter, rows_of
from jobroom.schedules.models import SchedulePolicy
from jobroom.schedules.page_pause import PauseForm
from jobroom.schedules.services import backfills, calendars, coming_runs
from jobroom.schedules.services import runs as run_rows
from jobroom.schedules.views.lookup import person, schedule_or_404
from jobroom.users import User

# Next runs, and latest jobs, that the page of one schedule shows.
RUNS, JOBS = 10, 10
# Runs that were not sent when they were due.
NOT_SENT = 20


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
    return show(request, schedule_or_404(request, schedule_id))


def show(request: HttpRequest, found: PeriodicTask, wrong: PauseForm | None = None) -> HttpResponse:
    """Return the page of a schedule; `wrong` is what was typed to pause it, where that cannot be done."""
    user = person(request)
    (row,) = rows_of([found], user)
    context = {
        "row": row,
        "schedule": found,
        "runs": (runs := row.upcoming(RUNS)),
        "left_out": row.left_out([run.at for run in runs]),
        "clock_changes": coming_runs.at_clock_changes(found, runs),
        "arguments": _arguments(found, user),
        "known": found.task in current_app.tasks,
        "may_launch": job_policies.may_launch(user, found.task),
        "jobs": JobFilter({"schedule": found.name}, user, JOBS).rows,
        "not_sent": list(run_rows.of(found, NOT_SENT)),
        "policy": (policy := run_rows.policy_of(found) or SchedulePolicy()),
        "open_backfills": found.backfills.filter(state__in=backfills.OPEN),
        "follows": calendars.followed(policy),
        "next_open": row.next_run if runs and all(run.closed for run in runs) else None,
        "why_not_delete": policies.why_not_delete(found),
        "in_admin": user.is_staff and user.has_perm("django_celery_beat.view_periodictask"),
        "pause_form": wrong or PauseForm(),
        "rendered_at": timezone.now(),
    }
    return render(request, "jobroom/schedules/schedule.html", context, status=422 if wrong else 200)


def _arguments(row: Any, user: User) -> list[tuple[str, Any, str]]:
    """Return the arguments of the schedule's jobs as their pages show them; none where they cannot be read."""
    try:
        args, kwargs, _ = services.message(row)
    except UnusableSchedule:
        return []
    return arguments_seen_by(user, Job(task=row.task, args=args, kwargs=kwargs))

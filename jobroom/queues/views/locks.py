"""The page of locks: who holds which, who waits, and breaking one."""

from datetime import UTC, datetime

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from jobroom.arguments.storable import plain
from jobroom.jobs.models import Job
from jobroom.queues import broker, held_locks, limits, policies
from jobroom.queues.views.base import act, text
from jobroom.web.staff import staff_only

# So many limits are shown.
LIMITS = 100


@staff_only
@never_cache
@require_safe
def lock_list(request: HttpRequest) -> HttpResponse:
    """Show the locks that are held, and those that were broken last."""
    context = {"may_operate": policies.may_operate(request.user), "rendered_at": timezone.now()}
    job = plain(request.GET.get("job", ""))[:255]
    try:
        rows = held_locks.held()
        turn = limits.turn_of(job)
        limited = limits.limits(LIMITS + 1, first=turn.group.name if turn else "")
        broken = [(entry, datetime.fromtimestamp(entry.at, UTC)) for entry in held_locks.broken()]
    except broker.AWAY:
        return render(request, "jobroom/queues/locks.html", {**context, "away": True}, status=503)
    if turn is not None:
        context |= {"turn": turn, "turn_of": Job.objects.filter(pk=job).first()}
    context |= {"rows": rows, "broken": broken, "limits": limited[:LIMITS], "more_limits": len(limited) > LIMITS}
    return render(request, "jobroom/queues/locks.html", context)


@staff_only
@require_POST
def free_place(request: HttpRequest) -> HttpResponse:
    """Take the place of a job in a limit away."""
    return act(
        request,
        lambda by: limits.free(
            text(request, "name", 300), text(request, "job", 255), by=by, reason=text(request, "reason")
        ),
        f"{reverse('jobroom:queues:locks')}#limits",
    )


@staff_only
@require_POST
def let_be_next(request: HttpRequest) -> HttpResponse:
    """Put a job that waits for a limit or a turn before all others."""
    return act(
        request,
        lambda by: limits.let_be_next(text(request, "job", 255), by=by, reason=text(request, "reason")),
        f"{reverse('jobroom:queues:locks')}#limits",
    )


@staff_only
@require_POST
def break_lock(request: HttpRequest) -> HttpResponse:
    """Take a lock away from its holder."""
    return act(
        request,
        lambda by: held_locks.break_lock(text(request, "name", 300), by=by, reason=text(request, "reason")),
        reverse("jobroom:queues:locks"),
    )

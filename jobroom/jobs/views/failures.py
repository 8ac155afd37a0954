"""The staff's pages of failures by their cause."""

from typing import cast

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from jobroom.arguments import WrongArguments
from jobroom.jobs import catalogue, failure_actions, failures, policies, staged_retries, task_titles
from jobroom.jobs.exceptions import NotAllowed, NotNow
from jobroom.jobs.failure_filter import FailureFilter
from jobroom.jobs.failure_models import FailureGroup
from jobroom.jobs.models import Job
from jobroom.users import User
from jobroom.web.staff import staff_only

# Jobs that the page of a cause shows, the latest.
SHOWN = 20


def bars(numbers: list[int]) -> list[tuple[int, int, int]]:
    """Return left edge, top and height of a bar for each number, in a picture of 20 units; what is not nothing has one."""
    most = max(numbers, default=0)
    heights = [max(1, round(20 * number / most)) if number > 0 else 0 for number in numbers]
    return [(7 * place, 20 - height, height) for place, height in enumerate(heights)]


@staff_only
@never_cache
@require_safe
def failure_list(request: HttpRequest) -> HttpResponse:
    """Show the causes that the address asks for."""
    wanted = FailureFilter(request.GET.dict(), request.user)
    trends = failures.trend(wanted.rows)
    names = failures.tasks_of(wanted.rows)
    rows = [
        (group, ", ".join(map(task_titles.title, names[group.pk])), bars(trends[group.pk]), sum(trends[group.pk]))
        for group in wanted.rows
    ]
    context = {
        "filter": wanted,
        "rows": rows,
        "tasks": [(name, task_titles.title(name)) for name in catalogue.tracked_names()],
        "rendered_at": timezone.now(),
    }
    return render(request, "jobroom/jobs/failures.html", context)


@staff_only
@never_cache
@require_safe
def failure(request: HttpRequest, group_id: str) -> HttpResponse:
    """Show one cause: since when, how often, where, who looks after it, and its latest jobs."""
    group = get_object_or_404(FailureGroup.objects.visible_to(request.user).select_related("assigned_to"), pk=group_id)
    same = (
        Job.objects.visible_to(request.user)
        .filter(fingerprint=group.pk)
        .defer("args", "kwargs", "result", "traceback", "facts")
    )
    latest = list(same.order_by("-finished_at", "-id")[:SHOWN])
    context = {
        "group": group,
        "bars": bars(failures.trend([group])[group.pk]),
        "tasks": failures.shares(group, "task"),
        "workers": failures.shares(group, "worker"),
        "jobs": latest,
        "example": latest[0].error.strip().partition("\n")[0][:500] if latest else "",
        "retry": staged_retries.latest(group.pk),
        "may_handle": policies.may_handle_failures(request.user),
        "rendered_at": timezone.now(),
    }
    return render(request, "jobroom/jobs/failure.html", context)


@staff_only
@require_POST
def act(request: HttpRequest, group_id: str) -> HttpResponse:
    """Mute, resolve, reopen or assign a cause."""
    group = get_object_or_404(FailureGroup.objects.visible_to(request.user), pk=group_id)
    action = request.POST.get("action", "")
    try:
        said = failure_actions.act(
            group=group, action=action, by=cast("User", request.user),
            reason=request.POST.get("reason", "")[:2000], assignee=request.POST.get("assignee", "").strip()[:150],
        )  # fmt: skip
        messages.success(request, said)
    except NotAllowed as reason:
        raise PermissionDenied(str(reason)) from reason
    except NotNow as reason:
        messages.error(request, str(reason))
    except WrongArguments as wrong:
        messages.error(request, " ".join(text for texts in wrong.errors.values() for text in texts))
    return HttpResponseRedirect(group.get_absolute_url(), status=303)

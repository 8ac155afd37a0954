"""The catalogue of tasks: searched, with the person's own first."""

from typing import cast

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from jobroom.jobs import catalogue, policies, task_lists
from jobroom.jobs.models import Profile
from jobroom.jobs.views.actions import SeeOther
from jobroom.jobs.views.launch import task_or_404
from jobroom.users import User

# So many tasks can be pinned.
MOST_PINNED = 30
# From so many groups on the page begins with links to them.
JUMPS = 4


@login_required
@never_cache
@require_safe
def task_list(request: HttpRequest) -> HttpResponse:
    """Show the tasks that the person may launch, or whose jobs the person may see: pinned, recent, then by app.

    The search is that of `tasks.js`, for who has no scripts and for an address that was kept.
    """
    user = cast("User", request.user)  # login_required has seen to it
    q = request.GET.get("q", "")[:100]
    tasks = sorted(catalogue.open_to(user), key=lambda task: task.place)
    found = {task.name for task in tasks if task_lists.matches(task, q.lower().split())}
    pinned = task_lists.pinned_by(user)
    groups = task_lists.grouped(task_lists.folded(tasks, pinned), pinned, task_lists.recent_of(user))
    shown, opened = task_lists.shown_by([task for _, group in groups for task in group], found) if q else (None, set())
    context = {
        "tasks": tasks,
        # What does not match is there, and hidden: who goes on typing, or takes it back, finds it without a question to the server.
        "groups": [
            (title, group, shown is None or any(task.name in shown for task in group)) for title, group in groups
        ],
        "shown": shown,
        "opened": opened,
        "number": len(found),
        "has_jumps": len(groups) >= JUMPS and not q,
        "pinned": pinned,
        "launchable": {task.name for task in tasks if policies.may_launch(user, task.name)},
        "q": q,
    }
    return render(request, "jobroom/jobs/tasks.html", context)


@login_required
@require_POST
def pin(request: HttpRequest, name: str) -> HttpResponse:
    """Keep a task at the top of the person's catalogue, or not any more; the page's script asks for JSON, and stays."""
    user = cast("User", request.user)
    task = task_or_404(request, name)
    pinned = task_lists.pinned_by(user)
    changed = [one for one in pinned if one != task.name] if task.name in pinned else [*pinned, task.name]
    if len(changed) > MOST_PINNED:
        raise Http404("So many tasks cannot be pinned. Unpin one first.")
    Profile.objects.update_or_create(user=user, defaults={"pinned": changed})
    if request.headers.get("Accept") == "application/json":
        return JsonResponse({"pinned": task.name in changed})
    return SeeOther(reverse("jobroom:jobs:tasks"))

"""The catalogue of tasks: searched, with the person's own first."""

from collections.abc import Sequence
from itertools import groupby
from typing import cast

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from jobroom.jobs import catalogue, policies
from jobroom.jobs.catalogue import TaskEntry
from jobroom.jobs.models import Job, Profile
from jobroom.jobs.views.actions import SeeOther
from jobroom.jobs.views.launch import task_or_404
from jobroom.users import User

# Tasks that the person launched last are shown first, so many; among so many of their newest jobs.
RECENT, LOOKED_AT = 4, 100
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
    found = {task.name for task in tasks if matches(task, q.lower().split())}
    pinned = pinned_by(user)
    groups = grouped(_folded(tasks, pinned), pinned, recent_of(user))
    shown, opened = _shown([task for _, group in groups for task in group], found) if q else (None, set())
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
    pinned = pinned_by(user)
    changed = [one for one in pinned if one != task.name] if task.name in pinned else [*pinned, task.name]
    if len(changed) > MOST_PINNED:
        raise Http404("So many tasks cannot be pinned. Unpin one first.")
    Profile.objects.update_or_create(user=user, defaults={"pinned": changed})
    if request.headers.get("Accept") == "application/json":
        return JsonResponse({"pinned": task.name in changed})
    return SeeOther(reverse("jobroom:jobs:tasks"))


def matches(task: TaskEntry, words: Sequence[str]) -> bool:
    """Return whether a search finds the task: each of its words, in lower case, in title, name or first line."""
    text = f"{task.title} {task.name} {task.summary}".lower()
    return all(word in text for word in words)


def _shown(alone: Sequence[TaskEntry], found: set[str]) -> tuple[set[str], set[str]]:
    """Return the names of the rows that a search shows, and of the tasks whose steps it unfolds: those with a step that matches."""
    shown, opened = set(), set()
    for task in alone:
        steps = {step.name for step in task.steps}
        if steps & found:
            opened.add(task.name)
            shown |= {task.name} | (steps & found)
        elif task.name in found:
            shown |= {task.name} | steps
    return shown, opened


def _folded(tasks: Sequence[TaskEntry], pinned: Sequence[str]) -> list[TaskEntry]:
    """Return the tasks that stand by themselves: a step is folded below its bigger task, where that is there."""
    by_name = {task.name: task for task in tasks}
    alone: list[TaskEntry] = []
    for task in tasks:
        bigger = by_name.get(task.step_of)
        if bigger is None or bigger.step_of or task.name in pinned:
            alone.append(task)
        else:
            bigger.steps.append(task)
    return alone


def pinned_by(user: User) -> list[str]:
    """Return the names of the tasks that the person has pinned."""
    found = Profile.objects.filter(user=user).values_list("pinned", flat=True).first()
    return [name for name in found or [] if isinstance(name, str)]


def recent_of(user: User) -> list[str]:
    """Return the tasks that the person launched last, the newest first."""
    own = Job.objects.filter(owner=user).exclude(owner=None).newest_first().values_list("task", flat=True)
    return list(dict.fromkeys(own[:LOOKED_AT]))[:RECENT]


def _heading(app: str) -> str:
    return "Of Jobroom itself" if app == catalogue.OWN_APP else app


def grouped(
    tasks: Sequence[TaskEntry], pinned: Sequence[str], recent: Sequence[str]
) -> list[tuple[str, list[TaskEntry]]]:
    """Return the tasks under their headings; each stands in one place."""
    by_name = {task.name: task for task in tasks}
    first = [by_name[name] for name in pinned if name in by_name]
    lately = [by_name[name] for name in recent if name in by_name and name not in pinned]
    shown = {task.name for task in (*first, *lately)}
    rest = [task for task in tasks if task.name not in shown]
    by_app = [(_heading(app), list(members)) for app, members in groupby(rest, key=lambda task: task.app)]
    return [(title, group) for title, group in [("Pinned", first), ("Lately", lately), *by_app] if group]

"""A person's presets of all tasks: launch with one, rename it, delete it."""

from typing import Any, NamedTuple, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from jobroom.arguments.storable import plain
from jobroom.jobs import catalogue
from jobroom.jobs.models import Preset
from jobroom.jobs.views.actions import SeeOther
from jobroom.users import User
from jobroom.web.cursors import newest_first
from jobroom.web.versions import Difference, conflict, is_stale, version_of

PAGE = 50
# What may be renamed unseen by others, and so what a version of it is of.
FIELDS = ("name",)
LONGEST = 80


class Row(NamedTuple):
    """One preset as the page shows it."""

    preset: Preset
    is_open: bool  # whether its task is known, and open to the person
    kept: str  # the names of what it keeps
    typed: str = ""  # the name that was refused
    wrong: str = ""  # and why


@login_required
@never_cache
@require_safe
def preset_list(request: HttpRequest) -> HttpResponse:
    """Show the person's presets, the newest first."""
    return _page(request)


@login_required
@require_POST
def rename(request: HttpRequest, preset_id: int) -> HttpResponse:
    """Give a preset another name; a name that cannot be taken stays in its field, with the reason."""
    preset = get_object_or_404(Preset, pk=preset_id, owner=cast("User", request.user))
    name = " ".join(plain(request.POST.get("name", "")).split())
    if reason := _why_not(preset, name):
        return _page(request, refused=preset.pk, typed=name, wrong=reason)
    if name != preset.name and is_stale(request, preset, FIELDS):
        return conflict(
            request,
            what=f"The name of the preset “{preset.name}”",
            back=reverse("jobroom:jobs:presets"),
            version=version_of(preset, FIELDS),
            differences=[Difference("Name", preset.name, name)],
        )
    Preset.objects.filter(pk=preset.pk).update(name=name)
    messages.success(request, f"“{preset.name}” is called “{name}” now." if name != preset.name else "It is called so.")
    return SeeOther(reverse("jobroom:jobs:presets"))


@login_required
@require_POST
def forget(request: HttpRequest, preset_id: int) -> HttpResponse:
    """Delete a preset; jobs that were launched with it stay as they are."""
    preset = get_object_or_404(Preset, pk=preset_id, owner=cast("User", request.user))
    preset.delete()
    messages.success(request, f"The preset “{preset.name}” is gone. Jobs that were launched with it stay.")
    return SeeOther(reverse("jobroom:jobs:presets"))


def _why_not(preset: Preset, name: str) -> str:
    """Return what is wrong with a new name, and what to do; empty for one that can be taken."""
    if not name:
        return "Name: it is empty. Write what the preset is for."
    if len(name) > LONGEST:
        return f"Name: it has {len(name)} characters, and {LONGEST} are the most. Shorten it."
    same = Preset.objects.filter(owner=preset.owner_id, task=preset.task, name=name).exclude(pk=preset.pk)
    return f"Name: another preset of this task is called “{name}”. Choose another name." if same.exists() else ""


def _page(request: HttpRequest, *, refused: int | None = None, typed: str = "", wrong: str = "") -> HttpResponse:
    user = cast("User", request.user)  # login_required has seen to it
    presets = Preset.objects.filter(owner=user)
    page = newest_first(presets, request.GET, PAGE)
    if refused is not None and refused not in {preset.pk for preset in page.rows}:
        page = newest_first(presets, {"before": str(refused + 1)}, PAGE)  # its page, with what was typed
    known = {entry.name for entry in catalogue.open_to(user)}
    context: dict[str, Any] = {
        "rows": [
            Row(preset, preset.task in known, _kept(preset), *((typed, wrong) if preset.pk == refused else ()))
            for preset in page.rows
        ],
        "page": page,
        "longest": LONGEST,
    }
    return render(request, "jobroom/jobs/presets.html", context, status=422 if wrong else 200)


def _kept(preset: Preset) -> str:
    return ", ".join(name.replace("_", " ") for name in (*preset.arguments, *preset.options)) or "no arguments"

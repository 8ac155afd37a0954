"""Presets of the launch page: a dialog that says what is kept and what is not, and asks for a name."""

import json
from collections.abc import Mapping
from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core import signing
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from jobroom.arguments.redaction import without_secrets
from jobroom.arguments.storable import plain
from jobroom.jobs import gate, policies
from jobroom.jobs.forms import LaunchForm, WhenForm, launch_form
from jobroom.jobs.models import Preset
from jobroom.jobs.views.actions import SeeOther
from jobroom.jobs.views.launch import PRESET_VERSION, page_of, task_or_404
from jobroom.users import User
from jobroom.web.versions import Difference, conflict, is_stale, version_of

# What a version of a preset is of.
FIELDS = ("arguments", "options")
# The field of the dialog with the answers, signed: they were checked when it was opened.
KEPT = "preset-kept"
# The button that opens the dialog, and what a script adds to get the dialog alone.
DIALOG, PART = "preset-dialog", "preset-part"
# A dialog that was opened longer ago, in seconds, is asked to be opened again.
OLDEST = 24 * 3600
# The answers of when and where that are kept, as the form calls them. A moment is none of them: it passes.
HOW = ("queue", "when", "cron", "schedule_name", "priority", "note", "tags", "caching")


@login_required
@require_POST
def keep(request: HttpRequest, name: str) -> HttpResponse:
    """Keep the answers under a name of the person's own, or ask for the name; the same name again replaces them."""
    task = task_or_404(request, name)
    user = cast("User", request.user)  # login_required has seen to it
    if not policies.may_launch(user, name):
        raise PermissionDenied(f"You may not launch {name}. {gate.NOT_OPEN}")
    if KEPT in request.POST:
        return _from_dialog(request, task, user)
    form = launch_form(task, user, data=request.POST, files=request.FILES)
    when = WhenForm(task, user, _only_kept(request.POST))
    title = _title(request)
    valid = form.is_valid() & when.is_valid()
    if DIALOG in request.POST and (valid or PART in request.POST):
        return _dialog(request, task, form, when, valid=valid)
    if not title or not valid:
        if not title:
            form.add_error(None, "Give the preset a name.")
        return page_of(request, task, form, when, status=422)
    answers, left_out = _answers(form)
    if left_out:
        messages.info(request, "Kept without its secrets.")
    return _store(request, task.name, title, answers, _how(when))


@login_required
@require_POST
def drop(request: HttpRequest, name: str, preset_id: int) -> HttpResponse:
    """Forget a preset."""
    get_object_or_404(Preset, pk=preset_id, owner=cast("User", request.user), task=name).delete()
    messages.success(request, "The preset is gone.")
    return SeeOther(reverse("jobroom:jobs:launch", args=[name]))


def _title(request: HttpRequest) -> str:
    return plain(request.POST.get("preset-name", "")).strip()[:80]


def _only_kept(data: Any) -> Any:
    """Return the answers with “now” in place of a moment, which may have passed and is not kept."""
    found = data.copy()
    if found.get("launch-when", "later") == "later":
        found["launch-when"] = "now"
    return found


def _answers(form: LaunchForm) -> tuple[dict[str, Any], list[str]]:
    """Return the answers that may be kept, and the titles of the arguments that are left out."""
    secret = {p.name: p.title for p in form.schema.parameters if p.secret}
    sent = form.checked().sent
    kept, hidden = without_secrets({key: value for key, value in sent.items() if key not in secret})
    left = [title for name, title in secret.items() if sent.get(name)]
    return kept, [*left, *(["secrets inside other answers"] if hidden else [])]


def _how(when: WhenForm) -> dict[str, Any]:
    """Return the answers of when and where that say anything."""
    found = {name: when.cleaned_data.get(name) for name in HOW if name in when.fields}
    usual = {"when": "now", "queue": when.usual_queue}
    return {name: value for name, value in found.items() if value not in (None, "", usual.get(name))}


def _dialog(request: HttpRequest, task: Any, form: LaunchForm, when: WhenForm, *, valid: bool) -> HttpResponse:
    context: dict[str, Any] = {"task": task.name}
    if valid:
        answers, left_out = _answers(form)
        how = _how(when)
        if request.POST.get("launch-when") == "later":
            left_out.append("the time at which it should run")
        labels = {p.name: p.title for p in form.schema.parameters}
        context |= {
            "kept": [labels.get(name, name) for name in answers],
            "how": [str(when.fields[name].label or name.replace("_", " ")).lower() for name in how],
            "left_out": left_out,
            "signed": signing.dumps([task.name, request.user.pk, answers, how], salt=KEPT, compress=True),
            "version": request.POST.get(PRESET_VERSION, ""),
        }
    else:
        context["wrong"] = [field.label for each in (form, when) for field in each if field.errors]
        context["others"] = form.non_field_errors()
    return _shown(request, context, 200 if valid else 422)


def _shown(request: HttpRequest, context: Mapping[str, Any], status: int) -> HttpResponse:
    part = "jobroom/jobs/preset_dialog.html" if PART in request.POST else "jobroom/jobs/preset.html"
    return render(request, part, {"part": PART in request.POST, **context}, status=status)


def _from_dialog(request: HttpRequest, task: Any, user: User) -> HttpResponse:
    try:
        name, person, answers, how = signing.loads(request.POST[KEPT], salt=KEPT, max_age=OLDEST)
    except (signing.BadSignature, ValueError):
        name = person = ""
    if (name, person) != (task.name, user.pk):
        context = {"task": task.name, "others": ["This dialog is too old. Close it, and open it again."]}
        return _shown(request, context, 422)
    if title := _title(request):
        return _store(request, task.name, title, answers, how)
    context = {
        "task": task.name,
        "kept": list(answers),
        "how": list(how),
        "signed": request.POST[KEPT],
        "version": request.POST.get(PRESET_VERSION, ""),
        "others": ["Give the preset a name."],
    }
    return _shown(request, context, 422)


def _store(request: HttpRequest, task: str, title: str, answers: Any, how: Any) -> HttpResponse:
    user = cast("User", request.user)
    present = Preset.objects.filter(owner=user, task=task, name=title).first()
    same = present and (present.arguments, present.options) == (answers, how)
    if present and not same and is_stale(request, present, FIELDS, PRESET_VERSION):
        return conflict(
            request,
            what=f"The preset “{title}”",
            back=f"{reverse('jobroom:jobs:launch', args=[task])}?from-preset={present.pk}",
            version=version_of(present, FIELDS),
            differences=_differences({**present.arguments, **present.options}, {**answers, **how}),
            field=PRESET_VERSION,
        )
    preset, _ = Preset.objects.update_or_create(
        owner=user, task=task, name=title, defaults={"arguments": answers, "options": how}
    )
    address = f"{reverse('jobroom:jobs:launch', args=[task])}?from-preset={preset.pk}"
    if PART in request.POST:
        return render(request, "jobroom/jobs/preset_kept.html", {"preset": preset, "address": address})
    messages.success(request, f"Kept as “{title}”.")
    return SeeOther(address)


def _differences(now: dict[str, Any], mine: dict[str, Any]) -> list[Difference]:
    """Return the answers in which two presets differ; “—” stands for one that is left out."""

    def text(values: dict[str, Any], name: str) -> str:
        return json.dumps(values[name], ensure_ascii=False) if name in values else "—"

    names = [name for name in {**now, **mine} if text(now, name) != text(mine, name)]
    return [Difference(name, text(now, name), text(mine, name)) for name in names]

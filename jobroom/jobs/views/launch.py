"""The launch page of a task: launch, repeat, keep a preset."""

from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from jobroom.arguments import WrongArguments
from jobroom.jobs import catalogue, gate, history, launches, policies
from jobroom.jobs.exceptions import NotAllowed, UnknownTask
from jobroom.jobs.filters import JobFilter
from jobroom.jobs.forms import LaunchForm, WhenForm, launch_form
from jobroom.jobs.forms.fields import visible_rows
from jobroom.jobs.models import Job, Preset, Source
from jobroom.jobs.views.actions import SeeOther
from jobroom.limits import TooMany
from jobroom.users import User
from jobroom.web.error_pages import later
from jobroom.web.versions import version_of

# Latest jobs of the task that its page shows.
LATEST = 8
# The hidden field with the version of the preset that the page started from; no argument has a hyphen in its name.
PRESET_VERSION = "preset-version"
# Rows that a search offers.
OFFERED = 20


def _user(request: HttpRequest) -> User:
    return cast("User", request.user)  # login_required has seen to it


def task_or_404(request: HttpRequest, name: str) -> Any:
    """Return the task; 404 for what does not exist and for what the person has nothing to do with."""
    try:
        return gate.task_for(name, _user(request))
    except UnknownTask as error:
        raise Http404(str(error)) from error


def _start(request: HttpRequest, task: Any) -> dict[str, Any]:
    """Return what the form starts with: a preset, an earlier job, or the address itself.

    The words for the first two have a hyphen, which no argument has in its name.
    """
    user = _user(request)
    if "from-preset" in request.GET:
        preset = get_object_or_404(Preset, pk=_number(request.GET["from-preset"]), owner=user, task=task.name)
        return dict(preset.arguments)
    if "from-job" in request.GET:
        job = get_object_or_404(Job.objects.visible_to(user), pk=request.GET["from-job"], task=task.name)
        return launches.arguments_of(job) if policies.may_see_arguments(user, job) else {}
    many = {p.name for p in launch_form(task, user).schema.parameters if p.kind in {"list", "models"}}
    return {name: (values if name in many else values[-1]) for name, values in request.GET.lists()}


def _how(request: HttpRequest, task: Any) -> dict[str, Any]:
    """Return what the answers of when and where start with: those of a preset, and what the address says."""
    asked = _number(request.GET.get("from-preset", ""))
    found = Preset.objects.filter(pk=asked, owner=_user(request), task=task.name).first() if asked else None
    caching = {"caching": request.GET["with-caching"]} if "with-caching" in request.GET else {}
    return {**(found.options if found else {}), **caching}


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def launch(request: HttpRequest, name: str) -> HttpResponse:
    """Show the form; on POST launch the job and go to its page."""
    task = task_or_404(request, name)
    user = _user(request)
    if request.method == "POST":
        return _posted(request, task, user)
    form = launch_form(task, user, initial=_start(request, task))
    return page_of(request, task, form, WhenForm(task, user, initial=_how(request, task)))


def page_of(request: HttpRequest, task: Any, form: LaunchForm, when: WhenForm, status: int = 200) -> HttpResponse:
    user = _user(request)
    context = {
        "task": catalogue.entry(task.name),
        # Taken out of the form here: in a template its arguments go before its attributes, and any may be called `groups`.
        "groups": form.groups(),
        "wrong": form.non_field_errors(),
        "to_change": [field for each in (form, when) for field in each if field.errors],
        "depends": form.depends,
        "has_dry_run": form.has_dry_run,
        "when": when,
        "may_launch": policies.may_launch(user, task.name),
        "preset_version": _preset_version(request, task.name),
        "presets": Preset.objects.filter(owner=user, task=task.name).order_by("name"),
        "latest": JobFilter({"task": task.name}, user, LATEST).rows,
        "durations": history.durations(task.name, user),
    }
    return render(request, "jobroom/jobs/launch.html", context, status=status)


def _preset_version(request: HttpRequest, task: str) -> str:
    """Return the version of the preset that the page starts from, so that keeping it again overwrites nothing unseen."""
    if request.method == "POST":
        return request.POST.get(PRESET_VERSION, "")
    asked = _number(request.GET.get("from-preset", ""))
    found = Preset.objects.filter(pk=asked, owner=_user(request), task=task).first() if asked else None
    return version_of(found, ["arguments", "options"]) if found else ""


def _posted(request: HttpRequest, task: Any, user: User) -> HttpResponse:
    data = request.POST.copy()
    if "dry-run" in data:
        data["dry_run"] = "on"
    form = launch_form(task, user, data=data, files=request.FILES)
    when = WhenForm(task, user, request.POST)
    if "launch-refresh" in request.POST:
        return fields_again(request, task, form)
    if form.is_valid() & when.is_valid():
        try:
            return _launched(request, task, form, when)
        except WrongArguments as wrong:
            _show_wrong(wrong, form, when)
        except TooMany as error:
            form.add_error(None, str(error))
            return later(page_of(request, task, form, when), error)
        except NotAllowed as error:
            raise PermissionDenied(str(error)) from error
    return page_of(request, task, form, when, status=422)


def fields_again(request: HttpRequest, task: Any, form: LaunchForm) -> HttpResponse:
    """Answer with the same fields again, nothing checked yet: some answers changed what may be asked."""
    suggested = set(request.POST.getlist("launch-suggested"))
    fresh = launch_form(task, _user(request), initial=_typed(form, suggested))
    return render(request, "jobroom/jobs/launch_fields.html", {"groups": fresh.groups()})


def _typed(form: LaunchForm, suggested: set[str]) -> dict[str, Any]:
    """Return the answers so far, without those that the form itself had suggested: it may suggest others now."""
    found: dict[str, Any] = {}
    for name, field in form.fields.items():
        if name in suggested and getattr(field, "suggests", False):
            continue
        found[name] = field.widget.value_from_datadict(form.data, form.files, name)
    return found


def _show_wrong(wrong: WrongArguments, form: LaunchForm, when: WhenForm) -> None:
    repeated = {name: f"repeat_{name}" if name in when.repetition else name for name in wrong.errors}
    errors = {repeated[name]: texts for name, texts in wrong.errors.items() if name not in form.fields}
    own = {name: texts for name, texts in errors.items() if name in when.fields}
    for name, texts in own.items():
        for text in texts:
            when.add_error(name, text)
    rest = {name: texts for name, texts in wrong.errors.items() if repeated[name] not in own or name in form.fields}
    if rest:
        form.add_errors(WrongArguments(rest))


def _launched(request: HttpRequest, task: Any, form: LaunchForm, when: WhenForm) -> HttpResponse:
    user = _user(request)
    if when.cleaned_data.get("when") == "repeat":
        address = launches.repeat(
            task=task.name,
            arguments=form.checked(),
            by=user,
            cron=when.cleaned_data["cron"],
            name=when.cleaned_data.get("schedule_name") or "",
            queue=when.options()["queue"],
            policy=when.policy(),
        )
        messages.success(request, "The schedule is set.")
        return SeeOther(address)
    job = launches.launch(task=task.name, arguments=form.checked(), by=user, source=Source.PAGE, **when.options())
    return SeeOther(job.get_absolute_url())


@login_required
@never_cache
@require_safe
def options(request: HttpRequest, name: str, field: str) -> HttpResponse:
    """Answer a search for rows that a field may be set to: at most twenty, as `[{"value", "label"}]`."""
    task = task_or_404(request, name)
    parameter = next((p for p in launch_form(task, _user(request)).schema.parameters if p.name == field), None)
    if parameter is None or parameter.model is None:
        raise Http404
    rows = history.search(visible_rows(parameter.model, _user(request)), request.GET.get("q", ""))
    return JsonResponse({"options": [{"value": str(row.pk), "label": str(row)} for row in rows[:OFFERED]]})

"""The launch page of a task, and what can be done there: launch, repeat, keep a preset."""

from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from common.arguments import WrongArguments
from jobs import catalogue, history, launching, policies
from jobs.exceptions import NotAllowed, UnknownTask
from jobs.filters import JobFilter
from jobs.forms import LaunchForm, WhenForm, launch_form
from jobs.forms.fields import visible_rows
from jobs.models import Job, Preset, Source
from jobs.views.actions import SeeOther

# Latest jobs of the task that its page shows.
LATEST = 8
# Rows that a search offers.
OFFERED = 20


def _user(request: HttpRequest) -> User:
    return cast("User", request.user)  # login_required has seen to it


def _task(request: HttpRequest, name: str) -> Any:
    """Return the task; 404 for what does not exist and for what the person has nothing to do with."""
    try:
        task = launching.task_called(name)
    except UnknownTask as error:
        raise Http404(str(error)) from error
    user = _user(request)
    if not policies.may_know_of(user, name):
        raise Http404
    return task


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
        return launching.arguments_of(job) if policies.may_see_arguments(user, job) else {}
    many = {p.name for p in launch_form(task, user).schema.parameters if p.kind in {"list", "models"}}
    return {name: (values if name in many else values[-1]) for name, values in request.GET.lists()}


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def launch(request: HttpRequest, name: str) -> HttpResponse:
    """Show the form; on POST launch the job and go to its page."""
    task = _task(request, name)
    user = _user(request)
    if request.method == "POST":
        return _posted(request, task, user)
    form = launch_form(task, user, initial=_start(request, task))
    return _page(request, task, form, WhenForm(task, user, initial={"caching": request.GET.get("with-caching", "")}))


def _page(request: HttpRequest, task: Any, form: LaunchForm, when: WhenForm, status: int = 200) -> HttpResponse:
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
        "presets": Preset.objects.filter(owner=user, task=task.name).order_by("name"),
        "latest": JobFilter({"task": task.name}, user, LATEST).rows,
        "durations": history.durations(task.name),
    }
    return render(request, "jobs/launch.html", context, status=status)


def _posted(request: HttpRequest, task: Any, user: User) -> HttpResponse:
    data = request.POST.copy()
    if "dry-run" in data:
        data["dry_run"] = "on"
    form = launch_form(task, user, data=data, files=request.FILES)
    when = WhenForm(task, user, request.POST)
    if "launch-refresh" in request.POST:
        # Some answers changed what may be asked: the same fields again, nothing checked yet.
        form = launch_form(task, user, initial=_typed(form))
        return render(request, "jobs/launch_fields.html", {"groups": form.groups()})
    if form.is_valid() & when.is_valid():
        try:
            return _launched(request, task, form, when)
        except WrongArguments as wrong:
            _show_wrong(wrong, form, when)
        except NotAllowed as error:
            raise PermissionDenied(str(error)) from error
    return _page(request, task, form, when, status=422)


def _typed(form: LaunchForm) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, field in form.fields.items():
        found[name] = field.widget.value_from_datadict(form.data, form.files, name)
    return found


def _show_wrong(wrong: WrongArguments, form: LaunchForm, when: WhenForm) -> None:
    own = {name: texts for name, texts in wrong.errors.items() if name in when.fields and name not in form.fields}
    for name, texts in own.items():
        for text in texts:
            when.add_error(name, text)
    rest = {name: texts for name, texts in wrong.errors.items() if name not in own}
    if rest:
        form.add_errors(WrongArguments(rest))


def _launched(request: HttpRequest, task: Any, form: LaunchForm, when: WhenForm) -> HttpResponse:
    user = _user(request)
    if when.cleaned_data.get("when") == "repeat":
        address = launching.repeat(
            task=task.name,
            arguments=form.arguments(),
            by=user,
            cron=when.cleaned_data["cron"],
            name=when.cleaned_data.get("schedule_name") or "",
            queue=when.options()["queue"],
        )
        messages.success(request, "The schedule is set.")
        return SeeOther(address)
    job = launching.launch(task=task.name, arguments=form.arguments(), by=user, source=Source.PAGE, **when.options())
    return SeeOther(job.get_absolute_url())


@login_required
@require_POST
def keep_preset(request: HttpRequest, name: str) -> HttpResponse:
    """Keep the answers under a name of the person's own; the same name again replaces them."""
    task = _task(request, name)
    user = _user(request)
    title = request.POST.get("preset-name", "").strip()[:80]
    form = launch_form(task, user, data=request.POST, files=request.FILES)
    if not title or not form.is_valid():
        if not title:
            form.add_error(None, "Give the preset a name.")
        return _page(request, task, form, WhenForm(task, user), status=422)
    secret = {p.name for p in form.schema.parameters if p.secret}
    kept = {key: value for key, value in form.schema.wire(form.arguments()).items() if key not in secret}
    preset, _ = Preset.objects.update_or_create(owner=user, task=name, name=title, defaults={"arguments": kept})
    messages.success(request, f"Kept as “{title}”{' without its secrets' if secret else ''}.")
    return SeeOther(f"{reverse('jobs:launch', args=[name])}?from-preset={preset.pk}")


@login_required
@require_POST
def drop_preset(request: HttpRequest, name: str, preset_id: int) -> HttpResponse:
    """Forget a preset."""
    get_object_or_404(Preset, pk=preset_id, owner=_user(request), task=name).delete()
    messages.success(request, "The preset is gone.")
    return SeeOther(reverse("jobs:launch", args=[name]))


@login_required
@never_cache
@require_safe
def options(request: HttpRequest, name: str, field: str) -> HttpResponse:
    """Answer a search for rows that a field may be set to: at most twenty, as `[{"value", "label"}]`."""
    task = _task(request, name)
    parameter = next((p for p in launch_form(task, _user(request)).schema.parameters if p.name == field), None)
    if parameter is None or parameter.model is None:
        raise Http404
    rows = history.search(visible_rows(parameter.model, _user(request)), request.GET.get("q", ""))
    return JsonResponse({"options": [{"value": str(row.pk), "label": str(row)} for row in rows[:OFFERED]]})

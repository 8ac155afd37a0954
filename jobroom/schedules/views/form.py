"""Makes and changes a schedule with the task's own launch form, with a preview while one types."""

import json
from datetime import datetime
from functools import partial
from typing import Any

from celery import current_app
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe
from django_celery_beat.models import PeriodicTask

from jobroom.arguments import WrongArguments, schema_of
from jobroom.jobs import catalogue, launches, policies, task_lists
from jobroom.jobs.exceptions import Changed, JobError
from jobroom.jobs.forms import LaunchForm, launch_form
from jobroom.jobs.views.actions import SeeOther
from jobroom.jobs.views.launch import fields_again, task_or_404
from jobroom.schedules import changes, services
from jobroom.schedules.exceptions import UnusableSchedule
from jobroom.schedules.models import SchedulePolicy
from jobroom.schedules.page_forms import ScheduleForm, TimingForm
from jobroom.schedules.services import coming_runs
from jobroom.schedules.services.runs import policy_of
from jobroom.schedules.views.lookup import person, schedule_or_404
from jobroom.web.versions import Difference, conflict, is_stale, version_of

# Next runs that are shown while one types.
PREVIEWED = 10


def _choice(request: HttpRequest) -> HttpResponse:
    """Show the tasks to choose from as the catalogue does: searched while one types, pinned and recent ones first."""
    user, q = person(request), request.GET.get("q", "")[:100]
    tasks = [task for task in catalogue.entries() if policies.may_launch(user, task.name)]
    tasks.sort(key=lambda task: task.place)
    shown = {task.name for task in tasks if task_lists.matches(task, q.lower().split())}
    groups = task_lists.grouped(tasks, task_lists.pinned_by(user), task_lists.recent_of(user))
    context = {
        "tasks": tasks,
        "groups": [(title, group, any(task.name in shown for task in group)) for title, group in groups],
        "shown": shown,
        "number": len(shown),
        "q": q,
    }
    return render(request, "jobroom/schedules/choose.html", context)


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """Show the form of a new schedule, first the choice of its task; on POST make it."""
    name = request.GET.get("task", "")
    if not name:
        return _choice(request)
    task = task_or_404(request, name)
    if not policies.may_launch(person(request), name):
        raise Http404("There is no such task, or you may not launch it.")
    if request.method == "POST":
        return _posted(request, task, None)
    return _page(request, task, launch_form(task, person(request)), ScheduleForm(task, person(request)), None)


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, schedule_id: int) -> HttpResponse:
    """Show the form of a schedule; on POST change it."""
    row = schedule_or_404(request, schedule_id)
    task = current_app.tasks.get(row.task)
    if task is None:
        messages.error(request, f"No worker's code knows the task {row.task}, so its arguments cannot be asked for.")
        return SeeOther(_address(row))
    if request.method == "POST":
        return _posted(request, task, row)
    form = launch_form(task, person(request), initial=_arguments(task, row))
    return _page(
        request, task, form, ScheduleForm(task, person(request), row=row, initial=ScheduleForm.start(row)), row
    )


@login_required
@never_cache
@require_safe
def preview(request: HttpRequest) -> HttpResponse:
    """Answer with the sentence and the next runs of what is typed so far, or with what is wrong with it."""
    row = _previewed(request)
    form = TimingForm(request.GET, row=row)
    context: dict[str, Any] = {}
    if form.is_valid() and form.timing is not None:
        sketch = form.timing.sketch(policy_of(row) if row is not None else SchedulePolicy(**form.calendars))
        runs = coming_runs.upcoming(sketch, PREVIEWED)
        context = {
            "sentence": services.sentence(sketch),
            "runs": runs,
            "clock_changes": coming_runs.at_clock_changes(sketch, runs),
        }
    else:
        context = {"wrong": [text for texts in form.errors.values() for text in texts]}
    return render(request, "jobroom/schedules/preview.html", context)


def _previewed(request: HttpRequest) -> PeriodicTask | None:
    """Return the schedule whose form asks, for the zone of its clocks; None for a new one."""
    number = request.GET.get("of", "")
    return schedule_or_404(request, int(number)) if number.isdecimal() and len(number) < 19 else None


def _address(row: PeriodicTask) -> str:
    return reverse("jobroom:schedules:schedule", args=[row.pk])


def _arguments(task: Any, row: PeriodicTask) -> dict[str, Any]:
    try:
        args, kwargs, _ = services.message(row)
        return schema_of(task).bind(args, kwargs)
    except (UnusableSchedule, WrongArguments):
        return {}


def _page(
    request: HttpRequest, task: Any, form: LaunchForm, when: ScheduleForm, row: PeriodicTask | None, status: int = 200
) -> HttpResponse:
    context = {
        "task": catalogue.entry(task.name),
        "groups": form.groups(),
        "wrong": form.non_field_errors(),
        "to_change": [field for each in (when, form) for field in each if field.errors],
        "depends": form.depends,
        "when": when,
        "row": row,
        "version": request.POST.get("version") or (version_of(row, changes.VERSIONED) if row else ""),
    }
    return render(request, "jobroom/schedules/form.html", context, status=status)


def _posted(request: HttpRequest, task: Any, row: PeriodicTask | None) -> HttpResponse:
    user = person(request)
    form = launch_form(task, user, data=request.POST, files=request.FILES)
    if "launch-refresh" in request.POST:
        return fields_again(request, task, form)
    when = ScheduleForm(task, user, request.POST, row=row)
    if form.is_valid() & when.is_valid():
        try:
            return _kept(request, task, form, when, row)
        except WrongArguments as wrong:
            rest = when.take_errors(wrong)
            if rest:
                form.add_errors(WrongArguments(rest))
        except JobError as error:
            form.add_error(None, str(error))
    return _page(request, task, form, when, row, status=422)


def _kept(
    request: HttpRequest, task: Any, form: LaunchForm, when: ScheduleForm, row: PeriodicTask | None
) -> HttpResponse:
    values = when.cleaned_data
    if row is not None:
        return _changed(request, form, when, row)
    address = launches.repeat(
        task=task.name,
        arguments=form.checked(),
        by=person(request),
        cron=when.line,
        name=values.get("name") or "",
        queue=values.get("queue") or "",
        description=values.get("description") or "",
        expires=values.get("expires"),
        policy=when.calendars,
    )
    messages.success(request, "The schedule is set.")
    return SeeOther(address)


def _changed(request: HttpRequest, form: LaunchForm, when: ScheduleForm, row: PeriodicTask) -> HttpResponse:
    values = when.cleaned_data
    if is_stale(request, row, changes.VERSIONED):
        return conflict(
            request,
            what="The schedule",
            back=_address(row),
            version=version_of(row, changes.VERSIONED),
            differences=_differences(row, form, when),
        )
    changes.change(
        row,
        by=person(request),
        arguments=form.checked(),
        line=when.line,
        name=values.get("name") or "",
        queue=values.get("queue") or "",
        description=values.get("description") or "",
        expires=values.get("expires"),
        check_version=partial(_check, request),
    )
    messages.success(request, "The schedule is changed.")
    return SeeOther(_address(row))


def _check(request: HttpRequest, stored: str) -> None:
    """Refuse what was saved by others while this was on its way; the next try shows both."""
    if request.POST.get("version", stored) != stored:
        raise Changed("Others saved the schedule at this moment, so nothing was saved. Save again to see both.")


def _moment(moment: datetime | None) -> str:
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M:%S %Z}" if moment is not None else "never"


def _differences(row: PeriodicTask, form: LaunchForm, when: ScheduleForm) -> list[Difference]:
    """Return in what the stored schedule differs from the one that was typed."""
    sent = json.dumps(form.checked().sent, ensure_ascii=False)
    found = [
        Difference("When", changes.line_of(row), when.line),
        Difference("Name", row.name, when.cleaned_data.get("name") or row.name),
        Difference("Ends", _moment(row.expires), _moment(when.cleaned_data.get("expires"))),
        Difference("Arguments", row.kwargs, sent),
    ]
    return [one for one in found if one.now != one.mine]

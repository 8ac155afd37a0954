"""The pages of backfills: the range with its count first, and how far one is."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_celery_beat.models import PeriodicTask

from jobroom.arguments import WrongArguments
from jobroom.jobs.exceptions import JobError
from jobroom.jobs.models import Job
from jobroom.jobs.views.actions import SeeOther
from jobroom.schedules.exceptions import NotNow, NotSent
from jobroom.schedules.models import Backfill, RunState
from jobroom.schedules.page_backfill import BackfillForm
from jobroom.schedules.services import backfill_plan, backfills
from jobroom.schedules.views.errors import add_errors
from jobroom.schedules.views.lookup import person, schedule_or_404

# Runs that a page shows, backfills of a schedule, and due times of a range at either end.
RUNS, BACKFILLS = 50, 20


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def new_backfill(request: HttpRequest, schedule_id: int) -> HttpResponse:
    """Show what a range would make; on POST make it."""
    row = schedule_or_404(request, schedule_id)
    if request.method == "POST":
        return _posted(request, row)
    if "since" not in request.GET:
        return _page(request, row, BackfillForm(row, initial=BackfillForm.start(row)))
    form = BackfillForm(row, request.GET)
    return _page(request, row, form, _planned(request, row, form))


def _planned(request: HttpRequest, row: PeriodicTask, form: BackfillForm) -> backfill_plan.Plan | None:
    if not form.is_valid():
        return None
    try:
        backfills.check(row, by=person(request), at_once=form.cleaned_data["at_once"])
        return backfill_plan.plan(row, form.range)
    except WrongArguments as wrong:
        add_errors(form, wrong)
    except (NotNow, NotSent) as error:
        form.add_error(None, str(error))
    return None


def _posted(request: HttpRequest, row: PeriodicTask) -> HttpResponse:
    form = BackfillForm(row, request.POST)
    seen = request.POST.get("seen", "")
    if form.is_valid():
        try:
            made = backfills.start(
                row,
                form.range,
                by=person(request),
                at_once=form.cleaned_data["at_once"],
                newest_first=form.cleaned_data["newest_first"],
                seen=int(seen) if seen.isdecimal() and len(seen) < 10 else None,
            )
        except WrongArguments as wrong:
            add_errors(form, wrong)
        except (NotNow, NotSent, JobError) as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, f"{made.total} runs are made.")
            return SeeOther(reverse("jobroom:schedules:backfill", args=[row.pk, made.pk]))
    return _page(request, row, form, status=422)


def _page(
    request: HttpRequest, row: PeriodicTask, form: BackfillForm, plan: Any = None, status: int = 200
) -> HttpResponse:
    takes = plan.takes(form.cleaned_data["at_once"]) if plan is not None else None
    context = {"row": row, "form": form, "plan": _shown(plan, form), "takes": takes}
    context["kept"] = [(name, value) for name, value in request.GET.items() if name in form.fields]
    context["earlier"] = Backfill.objects.filter(row=row).order_by("-pk")[:BACKFILLS]
    return render(request, "jobroom/schedules/backfill_form.html", context, status=422 if form.errors else status)


def _shown(plan: Any, form: BackfillForm) -> dict[str, Any] | None:
    """Return a plan with its first and last due times by the clocks of the schedule."""
    if plan is None:
        return None
    ends = [f"{timezone.localtime(due, form.zone):%Y-%m-%d %H:%M:%S %Z}" for due in plan.dues[:1] + plan.dues[-1:]]
    return {**vars(plan), "count": plan.count, "first": ends[0] if ends else "", "last": ends[-1] if ends else ""}


@login_required
@never_cache
@require_safe
def backfill(request: HttpRequest, schedule_id: int, backfill_id: int) -> HttpResponse:
    """Show how far a backfill is."""
    row = schedule_or_404(request, schedule_id)
    found = _found(row, backfill_id)
    numbers = backfills.progress(found)
    runs = list(found.runs.exclude(state=RunState.HELD).order_by("-at")[:RUNS])
    jobs = Job.objects.visible_to(person(request)).in_bulk([run.job for run in runs if run.job])
    context = {
        "row": row,
        "backfill": found,
        "numbers": numbers,
        "percent": backfills.ended_percent(numbers),
        "runs": [(run, jobs.get(run.job)) for run in runs],
        "rendered_at": timezone.now(),
    }
    return render(request, "jobroom/schedules/backfill.html", context)


@login_required
@require_POST
def act_on_backfill(request: HttpRequest, schedule_id: int, backfill_id: int) -> HttpResponse:
    """Pause, resume or cancel a backfill."""
    found = _found(schedule_or_404(request, schedule_id), backfill_id)
    act = backfills.ACTIONS.get(request.POST.get("action", ""))
    if act is None:
        messages.error(request, "Choose what to do.")
    else:
        _act(request, act, found)
    return SeeOther(reverse("jobroom:schedules:backfill", args=[schedule_id, found.pk]))


def _act(request: HttpRequest, act: Callable[..., str], found: Backfill) -> None:
    try:
        messages.success(request, act(found, by=person(request)))
    except NotNow as error:
        messages.error(request, str(error))


def _found(row: PeriodicTask, backfill_id: int) -> Backfill:
    return get_object_or_404(Backfill.objects.select_related("row"), row=row, pk=min(backfill_id, 2**63 - 1))

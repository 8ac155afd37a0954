"""The actions on a schedule: every one is a POST that redirects with 303."""

from collections.abc import Callable
from datetime import datetime

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.views.decorators.http import require_POST
from django_celery_beat.models import PeriodicTask

from jobroom.arguments import WrongArguments
from jobroom.arguments.storable import plain
from jobroom.jobs.views.actions import SeeOther
from jobroom.schedules import audit, policies, services
from jobroom.schedules.exceptions import NotNow, NotSent
from jobroom.schedules.page_pause import PauseForm
from jobroom.schedules.services import ownership
from jobroom.schedules.views.lookup import person, schedule_or_404
from jobroom.schedules.views.pages import show


def _act(request: HttpRequest, schedule_id: int, action: Callable[[PeriodicTask], str]) -> HttpResponse:
    row = schedule_or_404(request, schedule_id)
    try:
        messages.success(request, action(row))
    except (NotNow, NotSent) as error:
        messages.error(request, str(error))
    except WrongArguments as wrong:
        messages.error(request, " ".join(text for texts in wrong.errors.values() for text in texts))
    return SeeOther(_back(request, row))


def _back(request: HttpRequest, row: PeriodicTask) -> str:
    """Return the page that the button was on: the list, or the schedule's own."""
    if request.POST.get("back") == "list":
        return reverse("jobroom:schedules:schedules")
    return reverse("jobroom:schedules:schedule", args=[row.pk])


@login_required
@require_POST
def pause(request: HttpRequest, schedule_id: int) -> HttpResponse:
    """Let it send nothing until it is resumed, or by itself from a time on."""
    form = PauseForm(request.POST)
    if not form.is_valid():
        return show(request, schedule_or_404(request, schedule_id), form)
    reason, until = plain(form.cleaned_data["reason"]).strip(), form.cleaned_data["until"]

    def paused(row: PeriodicTask) -> str:
        services.pause(row, by=person(request), reason=reason, until=until)
        end = f" until {timezone.localtime(until):%Y-%m-%d %H:%M %Z}" if until else ""
        return f"“{row.name}” is paused{end}. Jobs that it sent already go on."

    return _act(request, schedule_id, paused)


@login_required
@require_POST
def resume(request: HttpRequest, schedule_id: int) -> HttpResponse:
    """Let it run again."""

    def resumed(row: PeriodicTask) -> str:
        services.resume(row)
        audit.record(person(request), "resumed", row.name)
        return f"“{row.name}” runs again. What was missed is not made up."

    return _act(request, schedule_id, resumed)


@login_required
@require_POST
def run(request: HttpRequest, schedule_id: int) -> HttpResponse:
    """Send its job now, and leave its next run alone."""

    def sent(row: PeriodicTask) -> str:
        job = services.run_now(row, person(request))
        address = reverse("jobroom:jobs:job", args=[job])
        return format_html("“{}” was sent as <a href='{}'>job {}</a>.", row.name, address, job[:8])

    return _act(request, schedule_id, sent)


@login_required
@require_POST
def skip(request: HttpRequest, schedule_id: int) -> HttpResponse:
    """Leave its next run out, or that of another moment, or let that run take place after all."""

    def skipped(row: PeriodicTask) -> str:
        if "undo" in request.POST:
            services.unskip(row)
            audit.record(person(request), "took back the skip of", row.name)
            return "The run takes place after all."
        moment = timezone.localtime(services.skip(row, _moment(request.POST.get("at", ""))))
        audit.record(
            person(request), "skipped a run of", row.name, outcome=f"The run of {moment:%Y-%m-%d %H:%M:%S %Z}."
        )
        return f"The run of {moment:%Y-%m-%d %H:%M:%S %Z} is left out; the one after it takes place."

    return _act(request, schedule_id, skipped)


def _moment(text: str) -> datetime | None:
    """Return the moment of the run that a button is about; the buttons write it in ISO 8601."""
    try:
        found = datetime.fromisoformat(text) if text else None
        return found if found is None or timezone.is_aware(found) else timezone.make_aware(found)
    except (ValueError, OverflowError) as error:
        raise NotNow("This is no time: use the button beside the run that is to be left out.") from error


@login_required
@require_POST
def delete(request: HttpRequest, schedule_id: int) -> HttpResponse:
    """Delete it; its jobs stay in the history."""
    row = schedule_or_404(request, schedule_id)
    if reason := policies.why_not_delete(row):
        messages.error(request, reason)
        return SeeOther(_back(request, row))
    row.delete()
    audit.record(person(request), "deleted", row.name)
    messages.success(request, f"“{row.name}” is deleted. Its jobs stay in the history.")
    return SeeOther(reverse("jobroom:schedules:schedules"))


@login_required
@require_POST
def settle(request: HttpRequest, schedule_id: int) -> HttpResponse:
    """Choose between what the settings say of it and what it is."""
    row = schedule_or_404(request, schedule_id)
    takes = request.POST.get("choice") == "settings"
    try:
        choose = ownership.take if takes else ownership.keep
        messages.success(request, choose(row, by=person(request), seen=request.POST.get("seen", "")))
    except NotNow as error:
        messages.error(request, str(error))
    if PeriodicTask.objects.filter(pk=schedule_id).exists():
        return SeeOther(_back(request, row))
    return SeeOther(reverse("jobroom:schedules:schedules"))

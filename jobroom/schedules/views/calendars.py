"""The pages of calendars: all see them, staff change them."""

from functools import partial
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from jobroom.arguments import WrongArguments
from jobroom.jobs.exceptions import Changed
from jobroom.jobs.views.actions import SeeOther
from jobroom.schedules import policies
from jobroom.schedules.exceptions import NotNow
from jobroom.schedules.models import Calendar
from jobroom.schedules.page_calendar import CalendarForm
from jobroom.schedules.services import calendar_file, calendars
from jobroom.schedules.services.calendar_days import parse
from jobroom.schedules.services.calendar_entries import Entry, Span
from jobroom.schedules.views.errors import add_errors
from jobroom.schedules.views.lookup import person
from jobroom.web.staff import staff_only
from jobroom.web.versions import Difference, conflict, is_stale

# Days that a page shows, and schedules that follow a calendar.
SHOWN = 60


@login_required
@never_cache
@require_safe
def calendar_list(request: HttpRequest) -> HttpResponse:
    """Show the calendars, each with what comes next."""
    found = [(each, days[:2], len(days)) for each in Calendar.objects.order_by("name") for days in [coming(each)]]
    context = {"calendars": found, "may_change": policies.may_change_calendars(person(request))}
    return render(request, "jobroom/schedules/calendars.html", context)


@login_required
@never_cache
@require_safe
def calendar(request: HttpRequest, calendar_id: int) -> HttpResponse:
    """Show one calendar: its days to come, and which schedules follow it."""
    found = _found(calendar_id)
    visible = set(policies.visible_to(person(request)).values_list("pk", flat=True))
    users = [row for row in calendars.users_of(found.name) if row.pk in visible]
    days = coming(found)
    context = {
        "calendar": found,
        "days": days[:SHOWN],
        "more": len(days) - SHOWN,
        "users": users[:SHOWN],
        "may_change": policies.may_change_calendars(person(request)),
    }
    return render(request, "jobroom/schedules/calendar.html", context)


def coming(found: Calendar) -> list[Entry]:
    """Return the entries that have not passed: those that repeat first, then the others by time."""
    try:
        entries = parse(found.days)
    except WrongArguments:
        return []
    now = timezone.localtime().replace(tzinfo=None)
    left = [entry for entry in entries if not isinstance(entry, Span) or entry.end > now]
    return sorted(left, key=lambda entry: (isinstance(entry, Span), entry.begin if isinstance(entry, Span) else now))


@staff_only
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def new_calendar(request: HttpRequest) -> HttpResponse:
    """Show the form of a new calendar; on POST make it."""
    form = CalendarForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        try:
            made = calendars.add(by=person(request), given=form.cleaned_data)
        except WrongArguments as wrong:
            add_errors(form, wrong)
        else:
            messages.success(request, "The calendar is kept. Choose it in the policy of a schedule.")
            return SeeOther(_address(made))
    return _page(request, form, None)


@staff_only
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def edit_calendar(request: HttpRequest, calendar_id: int) -> HttpResponse:
    """Show the form of a calendar; on POST change it."""
    found = _found(calendar_id)
    form = CalendarForm(request.POST or None, request.FILES or None, initial=CalendarForm.start(found))
    if request.method == "POST" and form.is_valid():
        if is_stale(request, found, calendars.FIELDS):
            return _both(request, found, form)
        try:
            check = partial(_check, request)
            said = calendars.change(found, by=person(request), given=form.cleaned_data, check_version=check)
        except WrongArguments as wrong:
            add_errors(form, wrong)
        except Changed as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, f"Changed: {', '.join(said)}." if said else "Nothing was changed.")
            return SeeOther(_address(found))
    return _page(request, form, found)


@staff_only
@require_POST
def read_days(request: HttpRequest) -> JsonResponse:
    """Answer with the lines that a file says, as JSON; nothing is kept."""
    file = request.FILES.get("file")
    if file is None:
        return JsonResponse({"errors": {"file": ["No file came."]}}, status=400)
    try:
        return JsonResponse({"lines": calendar_file.lines_of(file, file.name or "")}, status=201)
    except WrongArguments as wrong:
        return JsonResponse({"errors": wrong.errors}, status=400)


@staff_only
@require_POST
def delete_calendar(request: HttpRequest, calendar_id: int) -> HttpResponse:
    """Delete a calendar that no schedule follows."""
    found = _found(calendar_id)
    try:
        calendars.delete(found, by=person(request))
    except NotNow as error:
        messages.error(request, str(error))
        return SeeOther(_address(found))
    messages.success(request, f"“{found.name}” is deleted.")
    return SeeOther(reverse("jobroom:schedules:calendars"))


def _found(calendar_id: int) -> Calendar:
    return get_object_or_404(Calendar, pk=min(calendar_id, 2**63 - 1))


def _address(found: Calendar) -> str:
    return reverse("jobroom:schedules:calendar", args=[found.pk])


def _check(request: HttpRequest, stored: str) -> None:
    if request.POST.get("version", stored) != stored:
        raise Changed("Others saved the calendar at this moment, so nothing was saved. Save again to see both.")


def _page(request: HttpRequest, form: CalendarForm, found: Calendar | None) -> HttpResponse:
    version = request.POST.get("version") or (calendars.version(found) if found is not None else "")
    context = {"form": form, "calendar": found, "version": version}
    return render(request, "jobroom/schedules/calendar_form.html", context, status=422 if form.errors else 200)


def _both(request: HttpRequest, found: Calendar, form: CalendarForm) -> HttpResponse:
    labels = {name: str(field.label or name.capitalize()) for name, field in form.fields.items()}
    stored: dict[str, Any] = CalendarForm.start(found)
    return conflict(
        request,
        what="The calendar",
        back=_address(found),
        version=calendars.version(found),
        differences=[
            Difference(labels[name], stored[name], form.cleaned_data[name])
            for name in stored
            if stored[name] != form.cleaned_data[name]
        ],
    )

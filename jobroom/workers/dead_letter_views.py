"""The staff's page of dead letters, and its two actions."""

from typing import cast

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from jobroom.jobs.views.actions import SeeOther
from jobroom.users import User
from jobroom.web.staff import staff_only
from jobroom.workers import dead_letter_actions
from jobroom.workers.dead_letter_list import DeadLetterFilter
from jobroom.workers.models import DeadLetter


@staff_only
@never_cache
@require_safe
def dead_letter_list(request: HttpRequest) -> HttpResponse:
    """Show the dead letters that the address asks for."""
    context = {
        "filter": DeadLetterFilter(request.GET.dict(), request.user),
        "may_delete": dead_letter_actions.may_delete(cast("User", request.user)),
        "most": dead_letter_actions.MOST,
        "rendered_at": timezone.now(),
    }
    return render(request, "jobroom/workers/dead_letters.html", context)


def _chosen(request: HttpRequest, user: User) -> list[DeadLetter]:
    """Return the dead letters that are ticked, or all that match, the oldest first: so their jobs came."""
    wanted = DeadLetterFilter({name: request.POST.get(name, "") for name in DeadLetterFilter.names}, user)
    if "all" in request.POST:
        return list(wanted.matching.order_by("pk")[: dead_letter_actions.MOST])
    ticked = [int(pk) for pk in request.POST.getlist("ids") if pk.isascii() and pk.isdigit() and len(pk) < 20]
    return list(wanted.visible.filter(pk__in=ticked[: dead_letter_actions.MOST]).order_by("pk"))


def _back(request: HttpRequest, user: User) -> SeeOther:
    wanted = DeadLetterFilter({name: request.POST.get(name, "") for name in DeadLetterFilter.names}, user)
    return SeeOther(reverse("jobroom:workers:dead-letters") + (wanted.link() if wanted.is_filtered else ""))


def _dead_letters(number: int) -> str:
    return f"{number} dead letter" if number == 1 else f"{number} dead letters"


@staff_only
@require_POST
def requeue(request: HttpRequest) -> HttpResponse:
    """Run the jobs of the chosen dead letters again."""
    user = cast("User", request.user)
    dead_letters = _chosen(request, user)
    done, reasons = dead_letter_actions.requeue_all(dead_letters, user)
    if done:
        jobs = "1 job runs" if done == 1 else f"{done} jobs run"
        messages.success(request, f"{jobs} again, under the same id.")
    for reason, number in reasons[:5]:
        messages.error(request, f"{_dead_letters(number)} left alone: {reason}")
    if not dead_letters:
        messages.error(request, "Tick the dead letters whose jobs are to run again.")
    return _back(request, user)


@staff_only
@require_POST
def delete(request: HttpRequest) -> HttpResponse:
    """Strike the chosen dead letters off the list."""
    user = cast("User", request.user)
    if not dead_letter_actions.may_delete(user):
        raise PermissionDenied(dead_letter_actions.NEEDS)
    dead_letters = _chosen(request, user)
    for dead_letter in dead_letters:
        dead_letter_actions.delete(dead_letter, user)
    if dead_letters:
        messages.success(request, f"{_dead_letters(len(dead_letters))} deleted. Their jobs stay as they are.")
    else:
        messages.error(request, "Tick the dead letters that are to be deleted.")
    return _back(request, user)

"""The staff's page of dead letters, and its two actions."""

from typing import cast

from django.contrib import messages
from django.contrib.admin.views.decorators import staff_member_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from jobroom.jobs.views.actions import SeeOther
from jobroom.users import User
from jobroom.web.cursors import GREATEST
from jobroom.workers import dead_letter_actions
from jobroom.workers.dead_letter_list import LetterFilter
from jobroom.workers.models import DeadLetter


@staff_member_required
@never_cache
@require_safe
def letter_list(request: HttpRequest) -> HttpResponse:
    """Show the dead letters that the address asks for."""
    context = {
        "filter": LetterFilter(request.GET.dict(), request.user),
        "may_delete": dead_letter_actions.may_delete(cast("User", request.user)),
        "most": dead_letter_actions.MOST,
        "rendered_at": timezone.now(),
    }
    return render(request, "jobroom/workers/letters.html", context)


def _chosen(request: HttpRequest, user: User) -> list[DeadLetter]:
    """Return the letters that are ticked, or all that match, the oldest first: so their jobs came."""
    wanted = LetterFilter({name: request.POST.get(name, "") for name in LetterFilter.names}, user)
    if "all" in request.POST:
        return list(wanted.matching.order_by("pk")[: dead_letter_actions.MOST])
    ticked = [int(pk) for pk in request.POST.getlist("ids") if pk.isascii() and pk.isdigit() and len(pk) < 20]
    known = [pk for pk in ticked if pk <= GREATEST][: dead_letter_actions.MOST]
    return list(wanted.visible.filter(pk__in=known).order_by("pk"))


def _back(request: HttpRequest, user: User) -> SeeOther:
    wanted = LetterFilter({name: request.POST.get(name, "") for name in LetterFilter.names}, user)
    return SeeOther(reverse("jobroom:workers:dead-letters") + (wanted.link() if wanted.is_filtered else ""))


def _letters(number: int) -> str:
    return f"{number} letter" if number == 1 else f"{number} letters"


@staff_member_required
@require_POST
def requeue(request: HttpRequest) -> HttpResponse:
    """Run the jobs of the chosen letters again."""
    user = cast("User", request.user)
    letters = _chosen(request, user)
    done, reasons = dead_letter_actions.requeue_all(letters, user)
    if done:
        jobs = "1 job runs" if done == 1 else f"{done} jobs run"
        messages.success(request, f"{jobs} again, under the same id.")
    for reason, number in reasons[:5]:
        messages.error(request, f"{_letters(number)} left alone: {reason}")
    if not letters:
        messages.error(request, "Tick the letters whose jobs are to run again.")
    return _back(request, user)


@staff_member_required
@require_POST
def delete(request: HttpRequest) -> HttpResponse:
    """Strike the chosen letters off the list."""
    user = cast("User", request.user)
    if not dead_letter_actions.may_delete(user):
        raise PermissionDenied(dead_letter_actions.NEEDS)
    letters = _chosen(request, user)
    for letter in letters:
        dead_letter_actions.delete(letter, user)
    if letters:
        messages.success(request, f"{_letters(len(letters))} deleted. Their jobs stay as they are.")
    else:
        messages.error(request, "Tick the letters that are to be deleted.")
    return _back(request, user)

"""The base of the actions of these pages: the right, the sentence afterwards, and where it redirects to."""

from collections.abc import Callable

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse

from jobroom.arguments.storable import plain
from jobroom.jobs.views.actions import SeeOther, next_of
from jobroom.queues import broker, policies
from jobroom.queues.exceptions import QueueError

NEEDS = "Changing queues, messages, workers and locks needs the permission “Can change queues, messages, pauses, workers and locks”."


def act(request: HttpRequest, action: Callable[[str], str], back: str) -> HttpResponse:
    """Do `action` in the name of who asks, show its sentence or why not, and go on to `back` or where the form says.

    Raises PermissionDenied for one who may only look.
    """
    if not policies.may_operate(request.user):
        raise PermissionDenied(NEEDS)
    try:
        messages.success(request, action(request.user.get_username()))
    except QueueError as error:
        messages.error(request, str(error))
    except broker.AWAY:
        messages.error(request, "The broker or Redis does not answer, so nothing was done. Try again in a moment.")
    return SeeOther(next_of(request) or back)


def text(request: HttpRequest, name: str, longest: int = 500) -> str:
    """Return what the form says in a field, as a database can hold it."""
    return plain(request.POST.get(name, "")).replace("\r\n", "\n").strip()[:longest]

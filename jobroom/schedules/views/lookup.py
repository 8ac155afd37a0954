"""Finds the schedule of an address for the person who asks; who may not see it learns nothing, not even that it exists."""

from typing import cast

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django_celery_beat.models import PeriodicTask

from jobroom.schedules import policies
from jobroom.schedules.filters import RELATED
from jobroom.users import User


def person(request: HttpRequest) -> User:
    """Return who asks."""
    return cast("User", request.user)  # login_required has seen to it


def schedule_or_404(request: HttpRequest, schedule_id: int) -> PeriodicTask:
    """Return the schedule; raise Http404 for none and for one of others."""
    rows = policies.visible_to(person(request)).select_related(*RELATED)
    return get_object_or_404(rows, pk=min(schedule_id, 2**63 - 1))

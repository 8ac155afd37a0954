"""Saved lists of jobs. What is saved is the address, so a list is shared as a link."""

from typing import cast
from urllib.parse import parse_qsl

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_POST

from jobroom.arguments.storable import plain
from jobroom.jobs.filters import JobFilter
from jobroom.jobs.models import Profile
from jobroom.jobs.views.actions import SeeOther
from jobroom.users import User

# So many views are kept, with names of so many characters.
MOST, LONGEST = 30, 60


def views_of(user: User) -> list[tuple[str, str]]:
    """Return the views that the person has kept, each with the query of its list."""
    found = Profile.objects.filter(user=user).values_list("views", flat=True).first()
    return [(str(one[0]), str(one[1])) for one in found or [] if isinstance(one, list) and len(one) == 2]


@login_required
@require_POST
def keep(request: HttpRequest) -> HttpResponse:
    """Keep the list that is shown under a name; a name that is taken is never given to another list."""
    user = cast("User", request.user)  # login_required has seen to it
    wanted = JobFilter(dict(parse_qsl(plain(request.POST.get("query", "")).lstrip("?"))), user)
    name = " ".join(plain(request.POST.get("name", "")).split())[:LONGEST]
    views = views_of(user)
    if not name:
        messages.error(request, "Name: give the view a name, such as “My failures”. Nothing was kept.")
    elif any(name == known and query != wanted.link() for known, query in views):
        messages.error(
            request, f"Name: you have another view called “{name}”. Choose another name, or drop that one first."
        )
    elif len(views) >= MOST:
        messages.error(request, f"You have {MOST} views already, and no more are kept. Drop one first.")
    else:
        if (name, wanted.link()) not in views:
            _save(user, [*views, (name, wanted.link())])
        messages.success(request, f"Kept as “{name}”. Its address can be sent to others: they see of it what they may.")
    return SeeOther(reverse("jobroom:jobs:jobs") + wanted.link())


@login_required
@require_POST
def drop(request: HttpRequest) -> HttpResponse:
    """Take a view off one's own list."""
    user = cast("User", request.user)
    name = plain(request.POST.get("name", ""))
    _save(user, [view for view in views_of(user) if view[0] != name])
    return SeeOther(reverse("jobroom:jobs:jobs"))


def _save(user: User, views: list[tuple[str, str]]) -> None:
    Profile.objects.update_or_create(user=user, defaults={"views": [list(view) for view in views]})

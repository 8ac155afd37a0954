"""Protects pages for staff: who is logged in without being staff gets an explanation, not another login form."""

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.http.response import HttpResponseBase

P = ParamSpec("P")
R = TypeVar("R", bound=HttpResponseBase)

REFUSED = "This page is for the staff of this site."


def staff_only(view: Callable[Concatenate[HttpRequest, P], R]) -> Callable[Concatenate[HttpRequest, P], R]:
    """Let staff in alone, before anything of the address is looked up; strangers log in at the project's own page.

    Django's guard of its admin shows the log-in once more to people who are logged in: that says neither what is missing
    nor whom to ask.
    """

    @functools.wraps(view)
    def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> R:
        if not request.user.is_staff:
            raise PermissionDenied(REFUSED)
        return view(request, *args, **kwargs)

    return login_required(guarded)

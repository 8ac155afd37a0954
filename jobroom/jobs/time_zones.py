"""The time zone that a person has chosen: all times of a page are shown, and read, in it."""

import zoneinfo
from collections.abc import Callable
from functools import cache as once
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.db import DatabaseError
from django.http import HttpRequest
from django.utils import timezone

from jobroom.jobs.models import Profile
from jobroom.users import User

# Seconds for which a choice is remembered; in the process where it is changed it counts at once.
KEPT = 60


@once
def names() -> tuple[str, ...]:
    """Return the zones that may be chosen: those named after places, and UTC."""
    return ("UTC", *sorted(name for name in zoneinfo.available_timezones() if "/" in name and _is_place(name)))


def _is_place(name: str) -> bool:
    return name.partition("/")[0] not in {"Etc", "SystemV", "posix", "right"}


def check(name: str) -> None:
    """Raise ValidationError, with the remedy, for a name that is no zone."""
    if name and name not in names():
        raise ValidationError(f"“{name[:80]}” is no time zone. Choose one of the list, such as Europe/Berlin.")


def zone_of(user: Any) -> str:
    """Return the name of the zone that the person has chosen; empty for that of the site."""
    if not user.is_authenticated:
        return ""
    found: str | None = cache.get(_key(user.pk))
    if found is None:
        found = Profile.objects.filter(user=user.pk).values_list("zone", flat=True).first() or ""
        cache.set(_key(user.pk), found, KEPT)
    return found


def choose(user: User, name: str) -> None:
    """Keep the person's choice; empty is the zone of the site. Raises ValidationError."""
    check(name)
    Profile.objects.update_or_create(user=user, defaults={"zone": name})
    cache.delete(_key(user.pk))


def _key(pk: Any) -> str:
    return f"jobroom.jobs.zone.{pk}"


def viewer_zone(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Let each request show times in the zone of the person who asks; middleware, after Django's authentication."""

    def middleware(request: HttpRequest) -> Any:
        if not (name := _wanted(request)):
            return get_response(request)
        with timezone.override(zoneinfo.ZoneInfo(name)):
            return get_response(request)

    return middleware


def _wanted(request: HttpRequest) -> str:
    """Return the zone of the person who asks; empty where the database does not say: the view says so, each face in its way."""
    try:
        return zone_of(request.user) if _has_session(request) else ""
    except DatabaseError:
        return ""


def _has_session(request: HttpRequest) -> bool:
    """Return whether someone may be logged in: probes and static files ask no database who it is."""
    return settings.SESSION_COOKIE_NAME in request.COOKIES

"""Limits on wrong passwords, wherever one is accepted: the login page, the admin and the API.

Only failures count. They count for the name together with the address they come from, so that people behind one proxy
do not lock each other out; with a higher limit for the name alone, against many addresses; and with a high one for the
address alone, against many names.
"""

from typing import Any

from django.contrib.auth.signals import user_logged_in, user_login_failed
from django.http import HttpRequest

from jobroom.jobs.conf import settings
from jobroom.limits import Rate, TooMany, forget, in_words, key, look, take

_KINDS = ("login", "login-name", "login-address")


def connect() -> None:
    """Connect to what Django signals of logins; twice is the same as once."""
    user_login_failed.connect(_failed, dispatch_uid="jobroom.jobs.login_limits")
    user_logged_in.connect(_succeeded, dispatch_uid="jobroom.jobs.login_limits")


class LoginLimit:
    """The first authentication backend: it knows no one, and refuses to ask the others after too many failures."""

    def authenticate(self, request: HttpRequest | None, **credentials: Any) -> None:
        """Raise TooMany where name or address have failed too often; a right password is refused too."""
        wait = max((look(name, rate) for name, rate in _limits(request, credentials)), default=0.0)
        if wait:
            raise TooMany(
                f"There were too many failed log-ins. Try again in {in_words(wait)}, or set a new password: “Forgotten "
                "password?”.",
                wait,
            )


def _limits(request: HttpRequest | None, credentials: dict[str, Any]) -> list[tuple[str, Rate | None]]:
    """Return the limits that a try touches, each with its key."""
    name = str(credentials.get("username") or "").strip().casefold()[:255]
    address = address_of(request)
    found = [(key("login-name", name), Rate.parse(settings.LOGINS_OF_NAME))] if name else []
    if address:
        found.append((key("login-address", address), Rate.parse(settings.LOGINS_OF_ADDRESS)))
    if name and address:
        found.append((key("login", name, address), Rate.parse(settings.LOGINS)))
    return found


def address_of(request: HttpRequest | None) -> str:
    """Return where a request comes from: an IPv4 address, or the network of 64 bits that one IPv6 customer has."""
    address = str(getattr(request, "META", {}).get("REMOTE_ADDR") or "")
    return ":".join(address.split(":")[:4]) if ":" in address else address


def _failed(credentials: dict[str, Any], request: HttpRequest | None = None, **_: Any) -> None:
    for name, rate in _limits(request, credentials):
        take(name, rate)


def _succeeded(request: HttpRequest, user: Any, **_: Any) -> None:
    """Forgive a person the failures at the place where they got in; those of the name at other places stay."""
    name = str(user.get_username()).strip().casefold()[:255]
    if address := address_of(request):
        forget(key("login", name, address))


def allow_reset(request: HttpRequest) -> None:
    """Count a request for a new password; raise TooMany where too many came from the same address."""
    rate = Rate.parse(settings.RESETS_OF_ADDRESS)
    if wait := take(key("reset-address", address_of(request)), rate):
        raise TooMany(f"Too many new passwords were asked for. Try again in {in_words(wait)}.", wait)


def may_mail(address: str) -> bool:
    """Count a mail with a link to a new password; return False when enough went to that address, which no one learns."""
    return not take(key("reset", address.strip().casefold()), Rate.parse(settings.RESETS))

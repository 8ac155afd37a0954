"""System checks of the options of this app."""

from typing import Any
from urllib.parse import urlsplit

from django.core.checks import CheckMessage, Error, Warning, register

from biosample.conf import settings

LOOPBACK = {"127.0.0.1", "::1", "localhost"}


def connect() -> None:
    """Register the checks; twice is the same as once."""
    register(addresses)
    register(account)


def addresses(**kwargs: Any) -> list[CheckMessage]:
    """Name addresses of USI that are none, and those that would send the password in the clear."""
    messages: list[CheckMessage] = []
    for name, address in (("USI_URL", settings.USI_URL), ("USI_AUTH_URL", settings.USI_AUTH_URL)):
        parts = urlsplit(address)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.password:
            hint = "Write https://host or https://host/path; user and password go into USI_USER and USI_PASSWORD."
            messages.append(Error(f"{name} is not the address of a web service.", hint=hint, id="biosample.E001"))
        elif parts.scheme == "http" and parts.hostname not in LOOPBACK:
            hint = f"Write https://{parts.hostname}… in {name}."
            text = f"{name} is not encrypted: the account's password can be read on the way."
            messages.append(Warning(text, hint=hint, id="biosample.W001"))
    return messages


def account(**kwargs: Any) -> list[CheckMessage]:
    """Name the missing half of an account."""
    if bool(settings.USI_USER) == bool(settings.USI_PASSWORD):
        return []
    missing = "USI_PASSWORD" if settings.USI_USER else "USI_USER"
    return [
        Warning(
            f"{missing} is missing, so no status is fetched from USI.",
            hint=f"Set {missing} in the environment, or neither of USI_USER and USI_PASSWORD.",
            id="biosample.W002",
        )
    ]

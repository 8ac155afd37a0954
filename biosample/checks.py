"""System checks of the options of this app."""

import difflib
from typing import Any
from urllib.parse import urlsplit

from django.core.checks import CheckMessage, Error, Warning, register
from django.core.exceptions import ValidationError

from biosample.conf import settings
from biosample.models import Attribute
from ontology.models import valid_name

LOOPBACK = {"127.0.0.1", "::1", "localhost"}


def connect() -> None:
    """Register the checks; twice is the same as once."""
    register(addresses)
    register(account)
    register(vocabularies)


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


def vocabularies(**kwargs: Any) -> list[CheckMessage]:
    """Name keys of the option that are no attributes, and values that can be no vocabulary."""
    found: list[CheckMessage] = []
    for attribute, name in settings.VOCABULARIES.items():
        if attribute not in Attribute.values:
            close = difflib.get_close_matches(attribute, Attribute.values, n=1)
            hint = f"Did you mean {close[0]}?" if close else f"Known: {', '.join(Attribute.values)}."
            text = f"BIOSAMPLE_VOCABULARIES names {attribute!r}, which is no attribute of a record."
            found.append(Error(text, hint=hint, id="biosample.E002"))
            continue
        try:
            valid_name(name)
        except ValidationError as error:
            text = f"BIOSAMPLE_VOCABULARIES: {name!r} cannot be the name of a vocabulary."
            found.append(Error(text, hint=" ".join(error.messages), id="biosample.E003"))
    return found

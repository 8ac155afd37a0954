"""Validates e-mail addresses."""

import re
from email.utils import parseaddr

from django.core.exceptions import ValidationError
from django.core.mail.message import sanitize_address
from django.core.validators import EmailValidator

from jobroom.notifications.exceptions import WrongAddress

# A host without a dot, as inside of companies.
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
LONGEST = 254  # RFC 5321, 4.5.3.1.3, without the angle brackets


def bare(address: str) -> str:
    """Return `Ada <Ada@Example.org>` as a mail server gets it: `Ada@example.org`; raise WrongAddress.

    The domain is written in lower case and in ASCII. What stands before the `@` is left as it is, see RFC 5321, 2.4.
    """
    shown = str(address)[:100]
    try:
        found = parseaddr(sanitize_address(str(address).strip(), "utf-8"))[1]
    except (ValueError, UnicodeError) as error:
        raise WrongAddress(f"“{shown}” is not an e-mail address ({error}).") from error
    local, _, domain = found.rpartition("@")
    domain = domain.lower()
    if local.startswith("=?"):
        raise WrongAddress(f"“{shown}” is not an e-mail address that every mail server takes: use ASCII before the @.")
    try:
        EmailValidator(allowlist=[domain] if _HOST.fullmatch(domain) else [])(f"{local}@{domain}")
    except ValidationError as error:
        raise WrongAddress(f"“{shown}” is not an e-mail address.") from error
    if len(found) > LONGEST:
        raise WrongAddress(f"“{shown}…” is longer than {LONGEST} characters.")
    return f"{local}@{domain}"


def split(addresses: list[str]) -> tuple[list[str], dict[str, str]]:
    """Return the good addresses, each once and in their order, and the reasons against the others."""
    good: dict[str, None] = {}
    wrong: dict[str, str] = {}
    for address in addresses:
        try:
            good[bare(address)] = None
        except WrongAddress as error:
            wrong[" ".join(str(address).split())[:LONGEST]] = str(error)
    return list(good), wrong

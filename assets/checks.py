"""System checks of the options of this app."""

from typing import Any

from django.core.checks import CheckMessage, Error, register

from assets.conf import settings

# What the libraries that read meshes need before they have read anything, with some room to work, in bytes.
LEAST_MEMORY = 512 * 2**20


def connect() -> None:
    """Register the checks; twice is the same as once."""
    register(limits)


def limits(**kwargs: Any) -> list[CheckMessage]:
    """Name limits with which no mesh could be processed."""
    found: list[CheckMessage] = []
    for name, least in (("MAX_BYTES", 1), ("MEMORY", LEAST_MEMORY), ("CPU_SECONDS", 1), ("SECONDS", 1), ("PIXELS", 16)):
        if getattr(settings, name) < least:
            text = f"ASSETS_{name} is {getattr(settings, name)}: no mesh can be processed with that."
            found.append(Error(text, hint=f"Set it to {least} or more.", id="assets.E001"))
    return found

"""System checks of the options of this app."""

from typing import Any

from django.core.checks import CheckMessage, Error, register

from ontology.conf import settings

# What the library that reads ontologies needs before it has read anything, with some room to work, in bytes.
LEAST_MEMORY = 256 * 2**20


def connect() -> None:
    """Register the checks; twice is the same as once."""
    register(limits)


def limits(**kwargs: Any) -> list[CheckMessage]:
    """Name limits with which no vocabulary could be loaded."""
    found: list[CheckMessage] = []
    for name, least in (
        ("MAX_BYTES", 1), ("MEMORY", LEAST_MEMORY), ("CPU_SECONDS", 1), ("SECONDS", 1), ("MAX_TEXT", 1),
    ):  # fmt: skip
        if getattr(settings, name) < least:
            text = f"ONTOLOGY_{name} is {getattr(settings, name)}: no vocabulary can be used with that."
            found.append(Error(text, hint=f"Set it to {least} or more.", id="ontology.E001"))
    return found

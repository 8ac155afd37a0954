"""System checks of the options of this app."""

from pathlib import Path
from typing import Any

from django.core.checks import CheckMessage, Error, Warning, register

from text.conf import settings


def connect() -> None:
    """Register the checks; twice is the same as once."""
    register(limits)
    register(training_file)


def limits(**kwargs: Any) -> list[CheckMessage]:
    """Name limits with which no text could be processed."""
    found: list[CheckMessage] = []
    least = {"MAX_BYTES": 1, "MAX_MESSAGES": 1, "MAX_CHARACTERS": 1, "LEAST_EXAMPLES": 10, "PROMOTE_MARGIN": 0}
    for name, lowest in least.items():
        if getattr(settings, name) < lowest:
            text = f"TEXT_{name} is {getattr(settings, name)}: no text can be processed with that."
            found.append(Error(text, hint=f"Set it to {lowest} or more.", id="text.E001"))
    return found


def training_file(**kwargs: Any) -> list[CheckMessage]:
    """Say when the file to learn from is not there; it may lie on the workers' machine alone."""
    path = settings.TRAINING_FILE
    if not path or Path(path).is_file():
        return []
    text = f"TEXT_TRAINING_FILE names {path}, which is no file on this machine."
    hint = "“Retrain spam detector” fails on a worker that does not find it either."
    return [Warning(text, hint=hint, id="text.W001")]

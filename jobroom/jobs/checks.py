"""System checks of the jobs app."""

from typing import Any

from django.core.checks import CheckMessage, Error, register

from jobroom.jobs.conf import settings
from jobroom.limits import Rate

RATES = ("LOGINS", "LOGINS_OF_NAME", "LOGINS_OF_ADDRESS", "RESETS", "RESETS_OF_ADDRESS", "LAUNCHES", "TASK_LAUNCHES", "UPLOADS")  # fmt: skip


def connect() -> None:
    """Register the checks; twice is the same as once."""
    register(rates)


def rates(**kwargs: Any) -> list[CheckMessage]:
    """Name every limit that cannot be read."""
    found: list[CheckMessage] = []
    for name in RATES:
        try:
            Rate.parse(str(getattr(settings, name)))
        except ValueError as error:
            found.append(
                Error(f"JOBS_{name}: {error}", hint="Write 10/m, 10/15m, 100/h, or 0.", id="jobroom_jobs.E001")
            )
    return found

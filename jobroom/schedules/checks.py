"""System checks of the settings' schedules."""

from typing import Any

from celery import current_app
from django.core.checks import CheckMessage, Error, register

from jobroom.schedules import services


def connect() -> None:
    """Register the checks; twice is the same as once."""
    register(settings_schedules)


def settings_schedules(**kwargs: Any) -> list[CheckMessage]:
    """Name every entry of `CELERY_BEAT_SCHEDULE` that would not run as written: unknown task, wrong arguments."""
    return [
        Error(f"CELERY_BEAT_SCHEDULE[{name!r}]: {text}", hint=hint, id="jobroom_schedules.E001")
        for name, entry in current_app.conf.beat_schedule.items()
        for text, hint in services.entry_problems(entry)
    ]

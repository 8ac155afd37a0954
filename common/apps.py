"""Registers the app with Django and connects the tracking of jobs."""

from django.apps import AppConfig


class CommonConfig(AppConfig):
    """Task infrastructure; has no models."""

    name = "common"

    def ready(self) -> None:
        """Connect Celery's signals and our system checks."""
        from django.utils.module_loading import autodiscover_modules

        from common import checks, failures, heartbeat, tracking
        from common.resources import worker as resources

        autodiscover_modules("resources")
        # Celery reads the `tasks` modules in workers only; forms, schedules and checks need them in every process.
        autodiscover_modules("tasks")
        checks.connect()
        tracking.connect()
        heartbeat.connect()
        resources.connect()
        failures.connect()

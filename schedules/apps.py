"""Registers the app with Django and its checks."""

from django.apps import AppConfig


class SchedulesConfig(AppConfig):
    """The only door to django-celery-beat."""

    name = "schedules"

    def ready(self) -> None:
        """Connect the system checks and the receivers."""
        from schedules import checks, receivers

        checks.connect()
        receivers.connect()

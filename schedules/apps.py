"""Registers the app with Django and its checks."""

from django.apps import AppConfig

from common.menu import SYSTEM, Entry


class SchedulesConfig(AppConfig):
    """The only door to django-celery-beat."""

    name = "schedules"
    menu = (Entry("Schedules", "admin:django_celery_beat_periodictask_changelist", group=SYSTEM, order=20, staff=True),)

    def ready(self) -> None:
        """Connect the system checks and the receivers."""
        from schedules import checks, receivers

        checks.connect()
        receivers.connect()

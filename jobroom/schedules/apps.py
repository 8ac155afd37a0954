"""Registers the app with Django and its checks."""

from django.apps import AppConfig

from jobroom.ui.menu import Entry


class SchedulesConfig(AppConfig):
    """The only door to django-celery-beat."""

    name = "jobroom.schedules"
    label = "jobroom_schedules"
    verbose_name = "Jobroom: schedules"
    default_auto_field = "django.db.models.BigAutoField"
    menu = (Entry("Schedules", "jobroom:schedules:schedules", order=45, also=("jobroom:schedules:calendars",)),)

    def ready(self) -> None:
        """Connect the system checks and the receivers."""
        from jobroom.schedules import checks, receivers

        checks.connect()
        receivers.connect()

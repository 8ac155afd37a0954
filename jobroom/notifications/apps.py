"""Registers the app with Django and connects it to the recorder."""

from django.apps import AppConfig

from jobroom.ui.menu import SYSTEM, Entry


class NotificationsConfig(AppConfig):
    """Who is notified of a failure, and how."""

    name = "jobroom.notifications"
    label = "jobroom_notifications"
    verbose_name = "Jobroom: mails and alerts"
    default_auto_field = "django.db.models.BigAutoField"
    menu = (
        Entry("Alerts", "jobroom:notifications:alerts", group=SYSTEM, order=25),
        Entry("Mails", "jobroom:notifications:mails", group=SYSTEM, order=30, staff=True),
    )

    def ready(self) -> None:
        """Connect the receivers and the system checks."""
        from jobroom.health import register
        from jobroom.notifications import checks, health, receivers

        checks.connect()
        receivers.connect()
        register("mails", health.mails)

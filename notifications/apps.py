"""Registers the app with Django and connects it to the recorder."""

from django.apps import AppConfig

from common.menu import SYSTEM, Entry


class NotificationsConfig(AppConfig):
    """Who is told of a failure, and how."""

    name = "notifications"
    menu = (Entry("Mails", "notifications:mails", group=SYSTEM, order=30, staff=True),)

    def ready(self) -> None:
        """Connect the receivers and the system checks."""
        from notifications import checks, receivers

        checks.connect()
        receivers.connect()

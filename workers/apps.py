"""Registers the app with Django and connects it to the recorder's housekeeping."""

from django.apps import AppConfig

from common.menu import SYSTEM, Entry


class WorkersConfig(AppConfig):
    """The app's name and label."""

    name = "workers"
    menu = (Entry("Workers", "workers:workers", group=SYSTEM, order=10, staff=True),)

    def ready(self) -> None:
        """Connect the rescue to housekeeping, and keep Kombu from giving running jobs away."""
        from workers import broker, receivers

        receivers.connect()
        broker.install()

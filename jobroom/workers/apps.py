"""Registers the app with Django and connects it to the recorder's housekeeping."""

from django.apps import AppConfig

from jobroom.ui.menu import SYSTEM, Entry


class WorkersConfig(AppConfig):
    """The app's name and label."""

    name = "jobroom.workers"
    label = "jobroom_workers"
    verbose_name = "Jobroom: workers"
    default_auto_field = "django.db.models.BigAutoField"
    menu = (
        Entry("Workers", "jobroom:workers:workers", group=SYSTEM, order=10, staff=True),
        Entry("Doctor", "jobroom:workers:doctor", group=SYSTEM, order=50, staff=True),
        Entry("Dead letters", "jobroom:workers:dead-letters", group=SYSTEM, order=40, staff=True),
    )

    def ready(self) -> None:
        """Connect the rescue to housekeeping, and keep Kombu from giving running jobs away."""
        from jobroom.workers import broker, receivers

        receivers.connect()
        broker.install()

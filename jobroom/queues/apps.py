"""Registers the app with Django and connects it to the recorder's housekeeping."""

from django.apps import AppConfig

from jobroom.ui.menu import SYSTEM, Entry


class QueuesConfig(AppConfig):
    """The app's name and label."""

    name = "jobroom.queues"
    label = "jobroom_queues"
    verbose_name = "Jobroom: queues"
    default_auto_field = "django.db.models.BigAutoField"
    menu = (
        Entry("Queues", "jobroom:queues:queues", group=SYSTEM, order=20, staff=True),
        Entry("Locks", "jobroom:queues:locks", group=SYSTEM, order=30, staff=True),
    )

    def ready(self) -> None:
        """Connect the receivers."""
        from jobroom.queues import conf, receivers  # noqa: F401 — what `JOBROOM` may say is known from the start

        receivers.connect()

"""Registers the app with Django and connects it to the signal `acted`."""

from django.apps import AppConfig

from jobroom.ui.menu import SYSTEM, Entry


class AuditConfig(AppConfig):
    """The app's name and label."""

    name = "jobroom.audit"
    label = "jobroom_audit"
    verbose_name = "Jobroom: audit"
    default_auto_field = "django.db.models.BigAutoField"
    menu = (Entry("Audit", "jobroom:audit:acts", group=SYSTEM, order=90, staff=True),)

    def ready(self) -> None:
        """Connect the receiver."""
        from jobroom.audit import receivers

        receivers.connect()

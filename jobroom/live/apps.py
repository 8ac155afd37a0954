"""Registers the app with Django."""

from django.apps import AppConfig


class LiveConfig(AppConfig):
    """The app's name and label."""

    name = "jobroom.live"
    label = "jobroom_live"
    verbose_name = "Jobroom: live pages"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Connect to what changes the rights of open sockets."""
        from jobroom.live import access

        access.connect()

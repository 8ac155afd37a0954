"""Registers the app with Django."""

from django.apps import AppConfig

from jobroom.ui.menu import DATA, Entry


class BiosampleConfig(AppConfig):
    """Submissions to the BioSamples archive."""

    name = "biosample"
    default_auto_field = "django.db.models.BigAutoField"
    menu = (Entry("Submissions", "biosample:submissions", group=DATA),)

    def ready(self) -> None:
        """Connect our system checks."""
        from biosample import checks

        checks.connect()

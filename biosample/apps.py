"""Registers the app with Django."""

from django.apps import AppConfig

from common.menu import DATA, Entry


class BiosampleConfig(AppConfig):
    """Submissions to the BioSamples archive."""

    name = "biosample"
    menu = (Entry("Submissions", "biosample:submissions", group=DATA),)

    def ready(self) -> None:
        """Connect our system checks."""
        from biosample import checks

        checks.connect()

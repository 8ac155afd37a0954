"""Registers the app with Django."""

from django.apps import AppConfig


class BiosampleConfig(AppConfig):
    """Submissions to the BioSamples archive."""

    name = "biosample"

    def ready(self) -> None:
        """Connect our system checks."""
        from biosample import checks

        checks.connect()

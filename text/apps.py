"""Registers the app with Django."""

from django.apps import AppConfig


class TextConfig(AppConfig):
    """Text models: spam, near-duplicates, key phrases, languages."""

    name = "text"

    def ready(self) -> None:
        """Connect our system checks."""
        from text import checks

        checks.connect()

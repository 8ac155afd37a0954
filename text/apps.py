"""Registers the app with Django."""

from django.apps import AppConfig

from common.menu import DATA, Entry


class TextConfig(AppConfig):
    """Text models: spam, near-duplicates, key phrases, languages."""

    name = "text"
    menu = (Entry("Models", "text:models", group=DATA),)

    def ready(self) -> None:
        """Connect our system checks."""
        from text import checks

        checks.connect()

"""Registers the app with Django."""

from django.apps import AppConfig

from jobroom.ui.menu import DATA, Entry


class TextConfig(AppConfig):
    """Text models: spam, near-duplicates, key phrases, languages."""

    name = "text"
    default_auto_field = "django.db.models.BigAutoField"
    menu = (Entry("Models", "text:models", group=DATA),)

    def ready(self) -> None:
        """Connect our system checks."""
        from text import checks

        checks.connect()

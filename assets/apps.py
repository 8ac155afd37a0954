"""Registers the app with Django."""

from django.apps import AppConfig

from jobroom.ui.menu import DATA, Entry


class AssetsConfig(AppConfig):
    """3D assets: upload, inspect, repair, simplify, convert, picture."""

    name = "assets"
    default_auto_field = "django.db.models.BigAutoField"
    menu = (Entry("Assets", "assets:assets", group=DATA),)

    def ready(self) -> None:
        """Connect our system checks."""
        from assets import checks

        checks.connect()

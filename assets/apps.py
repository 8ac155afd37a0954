"""Registers the app with Django."""

from django.apps import AppConfig


class AssetsConfig(AppConfig):
    """3D assets: upload, inspect, repair, simplify, convert, picture."""

    name = "assets"

    def ready(self) -> None:
        """Connect our system checks."""
        from assets import checks

        checks.connect()

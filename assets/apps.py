"""Registers the app with Django."""

from django.apps import AppConfig

from common.menu import DATA, Entry


class AssetsConfig(AppConfig):
    """3D assets: upload, inspect, repair, simplify, convert, picture."""

    name = "assets"
    menu = (Entry("Assets", "assets:assets", group=DATA),)

    def ready(self) -> None:
        """Connect our system checks."""
        from assets import checks

        checks.connect()

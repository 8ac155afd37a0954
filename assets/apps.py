"""Registers the app with Django."""

from django.apps import AppConfig


class AssetsConfig(AppConfig):
    """3D assets: upload, inspect, repair, simplify, convert, picture."""

    name = "assets"

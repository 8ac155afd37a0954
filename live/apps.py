"""Registers the app with Django."""

from django.apps import AppConfig


class LiveConfig(AppConfig):
    """The app's name and label."""

    name = "live"

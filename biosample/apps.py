"""Registers the app with Django."""

from django.apps import AppConfig


class BiosampleConfig(AppConfig):
    """The app's name and label."""

    name = "biosample"

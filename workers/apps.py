"""Registers the app with Django."""

from django.apps import AppConfig


class WorkersConfig(AppConfig):
    """The app's name and label."""

    name = "workers"

"""Registers the app with Django."""

from django.apps import AppConfig


class DemoConfig(AppConfig):
    """The app's name and label."""

    name = "demo"
    default_auto_field = "django.db.models.BigAutoField"

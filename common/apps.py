"""Registers the app with Django."""

from django.apps import AppConfig


class CommonConfig(AppConfig):
    """The documented names of the task API, and the short names of the commands."""

    name = "common"
    default_auto_field = "django.db.models.BigAutoField"

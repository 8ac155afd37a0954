"""Registers the app with Django."""

from django.apps import AppConfig


class SchedulesConfig(AppConfig):
    """The app's name and label."""

    name = "schedules"

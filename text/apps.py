"""Registers the app with Django."""

from django.apps import AppConfig


class TextConfig(AppConfig):
    """Text models and what tasks do with them."""

    name = "text"

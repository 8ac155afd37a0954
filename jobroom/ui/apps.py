"""Registers the app with Django."""

from django.apps import AppConfig


class UiConfig(AppConfig):
    """What all pages share: base templates, menu, styles and scripts."""

    name = "jobroom.ui"
    label = "jobroom_ui"
    verbose_name = "Jobroom: pages"
    default_auto_field = "django.db.models.BigAutoField"

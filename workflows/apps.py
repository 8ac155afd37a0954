"""Registers the app with Django."""

from django.apps import AppConfig


class WorkflowsConfig(AppConfig):
    """Any graph of tasks, its engine and its pages."""

    name = "workflows"

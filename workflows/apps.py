"""Registers the app with Django and connects it to the rooms below."""

from django.apps import AppConfig


class WorkflowsConfig(AppConfig):
    """Any graph of tasks, its engine and its pages."""

    name = "workflows"

    def ready(self) -> None:
        """Connect what writes the events of nodes, and what keeps the book."""
        from workflows import receivers
        from workflows.engine import writing

        writing.connect()
        receivers.connect()

"""Registers the app with Django and connects it to the rooms below."""

from typing import Any

from django.apps import AppConfig

from common.menu import Entry


class WorkflowsConfig(AppConfig):
    """Any graph of tasks, its engine and its pages."""

    name = "workflows"
    menu = (Entry("Workflows", "workflows:workflows", order=40),)

    def ready(self) -> None:
        """Connect writers, receivers and topics, and find the definitions of all apps."""
        from django.db.models.signals import post_migrate
        from django.utils.module_loading import autodiscover_modules

        from workflows import receivers, topics
        from workflows.engine import writing

        writing.connect()
        receivers.connect()
        topics.connect()
        autodiscover_modules("definitions")
        post_migrate.connect(_sync, sender=self, dispatch_uid="workflows.sync")


def _sync(**_: Any) -> None:
    """Bring the book's definitions up to date with the files of the apps."""
    from workflows.definitions import registry

    registry.sync()

"""Registers the app with Django and connects its signals."""

from typing import Any

from django.apps import AppConfig

from jobroom.ui.menu import Entry


class WorkflowsConfig(AppConfig):
    """Any graph of tasks, its engine and its pages."""

    name = "jobroom.workflows"
    label = "jobroom_workflows"
    verbose_name = "Jobroom: workflows"
    default_auto_field = "django.db.models.BigAutoField"
    menu = (Entry("Workflows", "jobroom:workflows:workflows", order=40),)

    def ready(self) -> None:
        """Connect writers, receivers and topics, and find the definitions of all apps."""
        from django.db.models.signals import post_migrate
        from django.utils.module_loading import autodiscover_modules

        from jobroom.workflows import receivers, topics
        from jobroom.workflows.engine import writer

        writer.connect()
        receivers.connect()
        topics.connect()
        autodiscover_modules("definitions")
        post_migrate.connect(_sync, sender=self, dispatch_uid="jobroom.workflows.sync")


def _sync(**_: Any) -> None:
    """Bring the database's definitions up to date with the files of the apps."""
    from jobroom.workflows.definitions import registry

    registry.sync()

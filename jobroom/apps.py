"""Registers the app with Django and connects the tracking of jobs."""

from django.apps import AppConfig


class JobroomConfig(AppConfig):
    """What tasks stand on; has no models."""

    name = "jobroom"
    label = "jobroom"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Connect Celery's signals and our system checks."""
        from celery.app import app_or_default
        from django.utils.module_loading import autodiscover_modules

        from jobroom import checks, lookups
        from jobroom.celery import (
            batches,
            beat,
            delayed,
            install,
            known_tasks,
            pauses,
            task_limits,
            traces,
            tracker,
            worker_commands,
        )
        from jobroom.events import heartbeat
        from jobroom.resources import worker as resources
        from jobroom.tasks import failure_mail
        from jobroom.web import prefix

        install(app_or_default())  # where the project's Celery module does not say it itself
        autodiscover_modules("resources")
        # Celery reads the `tasks` modules in workers only; forms, schedules and checks need them in every process.
        autodiscover_modules("tasks")
        checks.connect()
        lookups.connect()
        beat.connect()
        traces.connect()  # its receivers come first: those of the tracker find the span
        tracker.connect()
        known_tasks.connect()
        heartbeat.connect()
        delayed.connect()
        pauses.connect()
        worker_commands.connect()
        task_limits.connect()
        batches.connect()
        resources.connect()
        failure_mail.connect()
        prefix.connect()

"""The Celery application. Tasks of domain apps write `from image.celery import app`."""

import logging.config
import os
from typing import Any

from celery import Celery
from celery.signals import beat_init, celeryd_init, setup_logging
from django.core import management

from jobroom import file_permissions
from jobroom.celery import install

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "image.settings")

# Every task, also `@app.task(base=app.Task)`, is a BaseTask: it is tracked and carries debug_task().
app = install(Celery("proj"))
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def use_django_logging(**kwargs: Any) -> None:
    """Log as the rest of the project does; a connected receiver keeps Celery from installing its own handlers."""
    from django.conf import settings

    logging.config.dictConfig(settings.LOGGING)


@celeryd_init.connect
@beat_init.connect
def keep_files_private(**kwargs: Any) -> None:
    """Keep what workers and beat write from other users of the machine; pool processes inherit it."""
    file_permissions.set_umask()


@app.task(bind=True, base=app.Task, title="Clear sessions")
def clearsessions(self: Any) -> str:
    """Delete expired sessions from the database."""
    self.debug_task()
    management.call_command("clearsessions", verbosity=1)
    return "Session cleaned with success"

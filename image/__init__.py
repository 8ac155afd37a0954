"""The Django project: wiring only. Importing it makes the Celery app the current one, as `@shared_task` needs."""

from image.celery import app as celery_app

__all__ = ["celery_app"]

"""Jobroom: launch, watch and trust background jobs in Django and Celery."""

# What a project adds to its INSTALLED_APPS: our apps, and those that they stand on.
APPS = (
    "django_celery_results",
    "django_celery_beat",
    "rest_framework",
    "drf_spectacular",
    "jobroom",
    "jobroom.ui",
    "jobroom.live",
    "jobroom.jobs",
    "jobroom.audit",
    "jobroom.workflows",
    "jobroom.schedules",
    "jobroom.workers",
    "jobroom.queues",
    "jobroom.notifications",
)

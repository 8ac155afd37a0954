"""The results table of django-celery-results, as the recorder fills it."""

from django.db import models


class ArchivedResult(models.Model):
    """The table of django-celery-results as the recorder writes it: with the job's own times.

    That package's model sets both of its dates to the moment of writing, which is wrong for a database kept afterwards.
    """

    task_id = models.CharField(max_length=255, unique=True)
    periodic_task_name = models.CharField(null=True, max_length=255)  # noqa: DJ001 — the table is not ours
    task_name = models.CharField(null=True, max_length=255)  # noqa: DJ001
    task_args = models.TextField(null=True)  # noqa: DJ001
    task_kwargs = models.TextField(null=True)  # noqa: DJ001
    status = models.CharField(max_length=50)
    worker = models.CharField(null=True, max_length=100)  # noqa: DJ001
    content_type = models.CharField(max_length=128, default="application/json")
    content_encoding = models.CharField(max_length=64, default="utf-8")
    result = models.TextField(null=True)  # noqa: DJ001
    date_created = models.DateTimeField()
    date_started = models.DateTimeField(null=True)
    date_done = models.DateTimeField()
    traceback = models.TextField(null=True)  # noqa: DJ001
    meta = models.TextField(null=True)  # noqa: DJ001

    class Meta:
        managed = False
        db_table = "django_celery_results_taskresult"
        default_permissions = ()

    def __str__(self) -> str:
        return self.task_id

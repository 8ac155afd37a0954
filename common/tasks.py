"""The task API under the name that the documentation of this installation uses."""

from celery import shared_task
from django.core import management

from jobroom.tasks import (
    Argument,
    BaseTask,
    Batch,
    Debounce,
    ExclusiveLock,
    File,
    JobFailed,
    Limit,
    NotifyAdminTaskMixin,
    Similar,
    enqueue,
    exclusive_task,
    redis_lock,
)

__all__ = [
    "Argument",
    "BaseTask",
    "Batch",
    "Debounce",
    "ExclusiveLock",
    "File",
    "JobFailed",
    "Limit",
    "NotifyAdminTaskMixin",
    "Similar",
    "clearsessions",
    "enqueue",
    "exclusive_task",
    "redis_lock",
]


@shared_task(bind=True, base=BaseTask, name="common.tasks.clearsessions", title="Clear sessions")
def clearsessions(self: BaseTask) -> str:
    """Delete expired sessions from the database."""
    self.debug_task()
    management.call_command("clearsessions", verbosity=1)
    return "Session cleaned with success"

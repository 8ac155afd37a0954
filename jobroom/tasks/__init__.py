"""The task API: what the author of a task imports."""

from jobroom.tasks.base import (
    Argument,
    BaseTask,
    Batch,
    Debounce,
    ExclusiveLock,
    File,
    JobFailed,
    Limit,
    Similar,
    enqueue,
    exclusive_task,
    redis_lock,
)
from jobroom.tasks.failure_mail import NotifyAdminTaskMixin

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
    "enqueue",
    "exclusive_task",
    "redis_lock",
]

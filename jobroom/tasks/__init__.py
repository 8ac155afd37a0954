"""The task API: what the author of a task imports."""

from jobroom.tasks.base import (
    Argument,
    BaseTask,
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

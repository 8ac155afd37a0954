"""Errors of the task infrastructure."""


class TaskError(Exception):
    """Base of this app's errors; never raised itself."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class JobFailed(TaskError):
    """The job could not do its work, and says so without a traceback."""


class LockLost(TaskError):
    """The lock of this job has passed to somebody else."""


class RedisUnavailable(TaskError):
    """No Redis answers."""

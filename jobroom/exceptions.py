"""The errors of the task API, such as `JobFailed`, `LockLost` and `RedisUnavailable`, with a common base."""


class TaskError(Exception):
    """Base of this app's errors; never raised itself."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class JobFailed(TaskError):
    """The job could not do its work, and says so without a traceback."""

    #: full names of the class and the bases of another job's error, where this one reports it
    stands_for: tuple[str, ...] = ()


class LockBusy(TaskError):
    """Someone else holds the lock."""


class LockLost(TaskError):
    """The lock of this job has passed to someone else."""


class WorkerLost(TaskError):
    """The worker of this job vanished."""


class RedisUnavailable(TaskError):
    """No Redis answers."""


class OutOfMemory(TaskError):
    """The job needed more memory than there is."""


class TaskEscaped(TaskError):
    """The task raised what ends a process, such as SystemExit; only the job ends."""


class TaskFailed(TaskError):
    """The task failed; what it raised is recorded with its job."""


class UnsendableMessage(TaskError):
    """The message is too large or nested too deep for a broker and its workers."""

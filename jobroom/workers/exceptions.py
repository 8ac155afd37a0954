"""Errors of the workers app."""


class WorkerError(Exception):
    """Base of this app's errors; never raised itself."""


class NoSuchWorker(WorkerError):
    """There is no living worker of that name, or none that runs that job; the message says which."""


class WrongCommand(WorkerError):
    """A worker cannot do that; the message says why, and what it can."""

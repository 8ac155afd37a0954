"""Errors of shared resources."""

from jobroom.exceptions import TaskError


class ResourceError(TaskError):
    """Base of the errors about resources; never raised itself."""


class UnknownResource(ResourceError):
    """No one has declared this resource."""


class ResourceNotHere(ResourceError):
    """Resources are loaded in workers only."""


class ResourceNotReady(ResourceError):
    """The resource is not loaded yet, or could not be loaded; a job that needs it waits."""

    def __init__(self, name: str, reason: str, wait: float = 1.0) -> None:
        super().__init__(f"The resource {name} is not ready: {reason}")
        self.name = name
        self.wait = wait  # seconds after which another try makes sense

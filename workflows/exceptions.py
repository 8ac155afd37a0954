"""What goes wrong with workflows. A base that is never raised itself, and its children, whose docstring is the message."""


class WorkflowException(Exception):
    """Something is wrong with a workflow."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (self.__doc__ or "").strip())


class InvalidGraph(WorkflowException):
    """The graph cannot be run."""


class Cycle(InvalidGraph):
    """Nodes wait for each other in a circle, so none of them could ever run."""

    def __init__(self, path: list[str]) -> None:
        self.path = path
        super().__init__(f"These nodes wait for each other in a circle: {' → '.join(path)}. Take one dependency away.")


class UnknownNodeTask(InvalidGraph):
    """A node names a task that is not registered."""


class NotNow(WorkflowException):
    """The workflow is not in a state in which this can be done."""


class NotAllowed(WorkflowException):
    """This person may not do that with this workflow."""


class EngineUnavailable(WorkflowException):
    """Redis does not answer, so the workflow cannot be told."""

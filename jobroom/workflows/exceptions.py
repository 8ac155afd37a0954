"""The errors of workflows. A base that is never raised itself, and its children, whose docstring is the message."""

from collections.abc import Iterable

from jobroom.arguments import WrongArguments
from jobroom.exceptions import RedisUnavailable
from jobroom.jobs import exceptions as jobs


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


# Those below are also what the jobs app calls the same mistake, so that page, API and command treat both alike.


class NotNow(WorkflowException, jobs.NotNow):
    """The workflow is not in a state in which this can be done."""


class NotAllowed(WorkflowException, jobs.NotAllowed):
    """This person may not do that with this workflow."""


class DefinitionNotOpen(NotAllowed):
    """There is no such definition for this person: none at all, or one that they may not launch. Nothing shows which."""

    def __init__(self, name: str, open_ones: Iterable[str]) -> None:
        known = ", ".join(open_ones) or "none yet"
        text = f"There is no workflow called “{name}” that you may launch. There are: {known}."
        super().__init__(f"{text} Ask an administrator to open it to your group.")


class EngineUnavailable(WorkflowException, RedisUnavailable):
    """Redis does not answer, so the workflow cannot be changed."""


class WrongFields(WorkflowException, WrongArguments):
    """Some fields are wrong; `errors` has the reasons by name."""

    def __init__(self, errors: dict[str, list[str]]) -> None:
        WrongArguments.__init__(self, errors)

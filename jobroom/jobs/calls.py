"""One call of a task on its way into a message: what the steps of a launch need of it, each made once."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

from jobroom.arguments import Schema, schema_of
from jobroom.arguments.redaction import HIDDEN, hide_arguments, seal_arguments
from jobroom.cache import Question, question
from jobroom.jobs.gate import Checked


@dataclasses.dataclass(frozen=True)
class Call:
    """A task with its arguments, as JSON; `checked` are the same by name, where the gate has passed them."""

    task: Any
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    checked: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, checked: Checked) -> "Call":
        """Return the call of arguments that have passed the gate."""
        return cls(checked.task, *checked.schema.call(checked.sent), checked.sent)

    @property
    def schema(self) -> Schema:
        """The schema of the task's arguments."""
        return schema_of(self.task)

    @functools.cached_property
    def plain(self) -> tuple[list[Any], dict[str, Any]]:
        """The arguments without secrets, for the history and its events."""
        return hide_arguments(self.task.run, self.args, self.kwargs)

    @functools.cached_property
    def sealed(self) -> tuple[Sequence[Any], Mapping[str, Any]]:
        """The arguments with secrets sealed, for what others read on the way to the worker."""
        args, kwargs = seal_arguments(self.task.run, self.args, self.kwargs)
        return args, kwargs

    @functools.cached_property
    def has_secrets(self) -> bool:
        """Whether some of the arguments are hidden in the history, and so are in the message alone."""
        return holds_hidden(self.plain[0]) or holds_hidden(self.plain[1])

    @functools.cached_property
    def question(self) -> Question | None:
        """What the call asks of the result cache; None where that cannot be computed."""
        if self.checked is not None:
            return question(self.task, self.checked, checked=True)
        return question(self.task, self.schema.bind(self.args, self.kwargs))


def holds_hidden(value: Any) -> bool:
    """Return whether something in a value of the history is hidden."""
    if isinstance(value, dict):
        return any(holds_hidden(item) for item in value.values())
    if isinstance(value, list):
        return any(holds_hidden(item) for item in value)
    return isinstance(value, str) and HIDDEN in value

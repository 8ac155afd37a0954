"""Declares `debounce=` on a task: of several calls only the last one runs."""

import dataclasses
from typing import Any

from jobroom.locks.batch import Batch
from jobroom.locks.names import Naming, clean, namer

# So long a call is put off at most, in seconds: what waits is remembered for a day longer.
LONGEST = 7 * 24 * 3600.0


@dataclasses.dataclass(frozen=True)
class Debounce:
    """A pause after the last call: `@app.task(debounce=Debounce(10, at_most=60, key="{document}"))`, or `debounce=10`.

    The call runs `seconds` after the last one of the same key, and the ones before it do not run; `at_most` seconds after the
    first of them it runs in any case (0: it may be put off for as long as others come). `key` distinguishes calls that have
    nothing to do with each other: a template of the task's arguments, or a function of them.
    """

    seconds: float
    at_most: float = 0.0
    key: Naming = ""

    def __post_init__(self) -> None:
        """Refuse what means nothing."""
        for name, value, least in (("seconds", self.seconds, 0.001), ("at_most", self.at_most, 0.0)):
            number: object = value  # whatever a task says
            if not isinstance(number, int | float) or isinstance(number, bool) or not least <= number <= LONGEST:
                raise ValueError(
                    f"The {name} of a debounce is a number of seconds up to {LONGEST:.0f}, not {number!r}."
                )
        if self.at_most and self.at_most < self.seconds:
            raise ValueError(f"at_most={self.at_most} is shorter than the pause of {self.seconds} seconds.")


class Debounced:
    """The debounce of one task: finds under which key a call of it counts."""

    def __init__(self, task: Any, declared: Debounce) -> None:
        self.declared = declared
        self.name = clean(task.name)
        self._key = namer(declared.key, task.run) if declared.key else None

    def key_of(self, args: Any, kwargs: Any) -> str:
        """Return the key of a call, empty where all count together; raises what a function of the project raises."""
        return "" if self._key is None else clean(self._key(tuple(args), dict(kwargs)) or "-")


def debounce_of(task: Any) -> Debounced | None:
    """Return the debounce that a task declares, None for one without; raises ValueError and TypeError that say what is wrong."""
    said = getattr(task, "debounce", None)
    if not isinstance(said, int | float | Debounce):
        return None  # an attribute that a class-based task has for itself, or none
    if isinstance(getattr(task, "batch", None), Batch):
        raise TypeError("A task has debounce= or batch=, not both: either the last call runs, or all do.")
    return Debounced(task, said if isinstance(said, Debounce) else Debounce(said))

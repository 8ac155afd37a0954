"""Declares `limit=` on a task: how many of its jobs may run at once, or start in a time, over all workers."""

import dataclasses
import re
from typing import Any

from jobroom.locks.names import Naming, clean, namer

_RATE = re.compile(r"^\s*(\d+)\s*/\s*([smh])\s*$")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}


@dataclasses.dataclass(frozen=True)
class Limit:
    """A limit of a task: `@app.task(limit=Limit(3, key="{customer}"))`, or `limit=3` for all of its jobs together.

    `most` jobs run at once, no matter on how many workers; 0 is any number. `rate`, such as "100/m" or "5/s", is how many
    start in that time, the first of them at once. `key` distinguishes jobs that do not count together: a template of the
    task's arguments, or a function of them. `name` lets several tasks share a limit; without one it is the task's own.
    """

    most: int = 0
    rate: str = ""
    key: Naming = ""
    name: str = ""

    def __post_init__(self) -> None:
        """Refuse what limits nothing, or means nothing."""
        number: object = self.most  # whatever a task says
        if not isinstance(number, int) or isinstance(number, bool) or number < 0:
            raise ValueError(f"The number of a limit is a whole number such as 3, not {self.most!r}.")
        if self.rate and not _RATE.match(self.rate):
            raise ValueError(f'The rate of a limit is a text such as "100/m" (s, m or h), not {self.rate!r}.')
        if not self.most and not self.per_second:
            raise ValueError("A limit needs a number of jobs, or a rate.")

    @property
    def per_second(self) -> float:
        """How many may start in a second; 0 is any number."""
        found = _RATE.match(self.rate) if self.rate else None
        return int(found[1]) / _SECONDS[found[2]] if found else 0.0

    @property
    def burst(self) -> int:
        """How many may start at once after a pause."""
        found = _RATE.match(self.rate) if self.rate else None
        return max(1, int(found[1])) if found else 1


class Limited:
    """The limit of one task: finds under which name a call of it counts."""

    def __init__(self, task: Any, limit: Limit) -> None:
        self.limit = limit
        self.name = clean(limit.name or task.name)
        self._key = namer(limit.key, task.run) if limit.key else None

    def key_of(self, args: Any, kwargs: Any) -> str:
        """Return the key of a call, empty where all count together; raises what a function of the project raises."""
        if self._key is None:
            return ""
        # A bound task takes itself first, as the signature of its `run` does not say any more.
        return clean(self._key(tuple(args), dict(kwargs)) or "-")


def limit_of(task: Any) -> Limited | None:
    """Return the limit that a task declares, None for one without; raises ValueError and TypeError that say what is wrong."""
    said = getattr(task, "limit", None)
    if said is None:
        return None
    return Limited(task, said if isinstance(said, Limit) else Limit(said))

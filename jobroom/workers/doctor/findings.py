"""What a check of the doctor gives, and what the checks have in common."""

import dataclasses
from collections.abc import Callable, Collection, Iterator
from typing import Any

from celery import current_app

# The worst first. “unknown” is what could not be looked at, as something else is away.
STATES = ("error", "warning", "unknown", "ok")
# Names that are said of many.
SHOWN = 5


@dataclasses.dataclass(frozen=True)
class Finding:
    """What came of one check."""

    check: str
    state: str  # one of STATES
    detail: str  # what was found; for trouble, its cause
    action: str = ""  # what to do next
    url: str = ""  # the name of the page that says more

    @property
    def troubled(self) -> bool:
        """Whether something is to be done."""
        return self.state in {"error", "warning"}


Found = Iterator[Finding]
Check = Callable[[], Found]


def error(check: str, detail: str, action: str, url: str = "") -> Finding:
    """Return what breaks jobs or people now, or will."""
    return Finding(check, "error", detail, action, url)


def warning(check: str, detail: str, action: str, url: str = "") -> Finding:
    """Return what is better done otherwise."""
    return Finding(check, "warning", detail, action, url)


def ok(check: str, detail: str) -> Finding:
    """Return what is in order."""
    return Finding(check, "ok", detail)


def our_tasks() -> Iterator[Any]:
    """Yield the project's tasks: Celery's own chores do not count."""
    for name, task in current_app.tasks.items():
        if not name.startswith("celery."):
            yield task


def shortened(names: Collection[str]) -> str:
    """Return the first of the names, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(sorted(names)[:SHOWN])}{more}"

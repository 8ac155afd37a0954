"""Which tasks are recorded."""

import fnmatch
import functools
from typing import Any

from jobroom.conf import settings


def is_tracked(task: Any) -> bool:
    """Return whether jobs of this task are recorded: of every task, whatever its base, unless it or the project says no.

    A task says `track=False`; the project names tasks in `UNTRACKED`. Celery's own chores are not recorded.
    """
    said = getattr(task, "tracked", None)
    if said is None:  # no task of ours
        said = getattr(task, "track", True) is not False
    return bool(said) and not is_left_out(str(task.name))


def is_left_out(name: str) -> bool:
    """Return whether jobs of the task called `name` are not recorded, whatever it says itself."""
    return name.startswith("celery.") or _matches(name, tuple(settings.UNTRACKED))


@functools.lru_cache(maxsize=4096)
def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)

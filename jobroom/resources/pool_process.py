"""Resources in a prefork pool process, and how it makes room for a process that is forked later.

A shared resource is loaded in the main process and inherited by fork. When there is a new version, children that were
forked before are outdated; each ends by itself between two jobs, and the pool forks another, as it does for
`max_tasks_per_child`. A job that was sent to a child which ends without having accepted it goes to another child, so
that none is lost and none runs with the old version.
"""

import os
import select
from collections.abc import Callable
from typing import Any

from billiard.pool import EX_RECYCLE
from billiard.process import current_process
from celery.concurrency import asynpool

from jobroom.resources.shared_state import SharedState

# Seconds between two looks of an idle child at the generation.
IDLE_LOOK = 1.0

_board: SharedState | None = None
_generation = 0


def note_fork(board: SharedState, generation: int) -> None:
    """Remember the generation that this child was forked with."""
    global _board, _generation
    _board, _generation = board, generation


def is_outdated() -> bool:
    """Return whether what this child inherited has been replaced since."""
    return _board is not None and _board.generation > _generation


class Child(asynpool.Worker):
    """A pool process that ends between two jobs when it is outdated."""

    inq: Any
    wait_for_job: Any

    def _make_child_methods(self, *args: Any, **kwargs: Any) -> None:
        base: Any = super()
        base._make_child_methods(*args, **kwargs)
        # Without billiard's pipe a child cannot look for both: it ends when the pool ends it.
        if (reader := getattr(self.inq, "_reader", None)) is not None:
            self.wait_for_job = self._unless_outdated(self.wait_for_job, reader)

    def _unless_outdated(self, receive: Callable[[], Any], reader: Any) -> Callable[[], Any]:
        def wait_for_job() -> Any:
            poll = select.poll()
            poll.register(reader.fileno(), select.POLLIN)
            while not is_outdated() and not poll.poll(IDLE_LOOK * 1000):
                pass
            request = None if is_outdated() else receive()
            # Not accepted yet, so the pool gives it to another child.
            if is_outdated():
                raise SystemExit(EX_RECYCLE)
            return request

        return wait_for_job


def place() -> int:
    """Return this process's place in the pool."""
    return int(getattr(current_process(), "index", os.getpid()))

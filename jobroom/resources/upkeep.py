"""The thread that maintains the resources of a process: loads, retries, renews, drops."""

import logging
import threading
from collections.abc import Callable, Collection

from jobroom.resources.instance import Held, State

logger = logging.getLogger(__name__)

# Seconds between two looks; what is due within one is late by as much.
TICK = 0.5


class Keeper(threading.Thread):
    """Steps through the resources until it is stopped; `after` is called after each round."""

    def __init__(self, held: Collection[Held], after: Callable[[], None] = lambda: None) -> None:
        super().__init__(name="resources", daemon=True)
        self.held = held
        self.after = after
        self.stopped = threading.Event()
        self.tried = threading.Event()  # every first load has ended, well or not

    def run(self) -> None:
        """Look after them until asked to stop."""
        while not self.stopped.is_set():
            try:
                for held in list(self.held):
                    held.step()
                self._settle()
            except Exception:  # the boundary: without this thread nothing would be loaded any more
                logger.exception("Looking after resources went wrong; it goes on")
            self.stopped.wait(TICK)

    def _settle(self) -> None:
        from django.db import connections

        # A connection of this thread would be inherited by pool processes that are forked later.
        connections.close_all()
        if all(held.inherited or held.state not in {State.WAITING, State.LOADING} for held in self.held):
            self.tried.set()
        self.after()

    def stop(self) -> None:
        """Stop after the current step; a load that goes on ends with the process."""
        self.stopped.set()

"""Keeps the heartbeat of a worker with greenlets going while one of its jobs computes.

gevent and eventlet make a greenlet of each thread, also of the heartbeat. A job that computes without waiting for anything holds up all of
them: after HEARTBEAT_TIMEOUT_SOLO its worker would count as gone, and its jobs would be run a second time elsewhere while they
run. So a thread of the operating system's own repeats the last heartbeat when it is overdue, with the jobs at hand by then, and says since
when the loop stands still.
"""

import logging
import time
from typing import Any

from jobroom import redis
from jobroom.conf import settings
from jobroom.events import green

logger = logging.getLogger(__name__)


class Pacemaker:
    """Repeats what the heartbeat said last, for as long as the heartbeat is overdue."""

    def __init__(self, heartbeat: Any) -> None:
        self.heartbeat = heartbeat

    def start(self) -> None:
        """Begin, in a thread of its own."""
        green.start_thread(self._run)

    def _run(self) -> None:
        client = None
        while not self.heartbeat.stopped.is_set():
            green.sleep(settings.HEARTBEAT_INTERVAL)
            late = time.monotonic() - self.heartbeat.said_at
            if late < 2 * settings.HEARTBEAT_INTERVAL or self.heartbeat.stopped.is_set():
                continue
            try:
                # A socket belongs to the loop of the thread that has made it, so this is no one else's connection.
                client = client or redis.connect()
                self._beat(client, late)
            except Exception:  # the boundary: nothing else sees this thread
                client = None
                logger.warning("The heartbeat cannot be repeated", exc_info=True)

    def _beat(self, client: Any, late: float) -> None:
        # Jobs that came since are named too: what a living worker does not name counts as lost.
        said = {**self.heartbeat.said, **self.heartbeat.at_hand(), "clock": time.time(), "loop": late}
        self.heartbeat.write(client, redis.now(client), said)
        if self.heartbeat.stopped.is_set():  # it has said good-bye meanwhile
            self.heartbeat.withdraw(client)

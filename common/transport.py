"""Celery's Redis broker, with one client for a channel's commands instead of a new one for each.

A worker makes two for every message, one to note it as unacknowledged and one to acknowledge it, which is a tenth of
what a short job costs. Commands, keys and connections stay as kombu has them: its own workers and ours may share a broker.
"""

from typing import Any

from kombu.transport import TRANSPORT_ALIASES, redis


class Channel(redis.Channel):
    """A channel that keeps the client of its pool."""

    _kept: Any = None

    def _create_client(self, asynchronous: bool = False) -> Any:
        # Those that wait for messages own a connection, and kombu keeps them itself.
        if asynchronous:
            return super()._create_client(asynchronous=True)  # type: ignore[misc]
        if (
            self._kept is None or self._kept.connection_pool is not self.pool
        ):  # a lost connection or a fork makes a new pool
            self._kept = super()._create_client()  # type: ignore[misc]
        return self._kept


class Transport(redis.Transport):
    """Kombu's, with our channel."""

    Channel = Channel


def register() -> None:
    """Let `redis://` and `rediss://` mean this transport in this process."""
    name = f"{__name__}:Transport"
    TRANSPORT_ALIASES.update(redis=name, rediss=name)

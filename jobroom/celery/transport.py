"""Celery's Redis broker, with one client for a channel's commands instead of a new one for each.

A worker makes two for every message, one to note it as unacknowledged and one to acknowledge it, which is a tenth of
what a short job costs. Commands, keys and connections stay as kombu has them: its own workers and ours may share a broker.
"""

from typing import Any

from kombu.transport import TRANSPORT_ALIASES, redis
from kombu.utils.encoding import bytes_to_str

from jobroom import foreign
from jobroom.celery import rejection


class Channel(redis.Channel):
    """A channel that keeps the client of its pool."""

    _kept: Any = None
    _popped: Any = None  # queue and text of the message that was taken last

    def _create_client(self, asynchronous: bool = False) -> Any:
        # Those that wait for messages own a connection, and kombu keeps them itself.
        if asynchronous:
            client = super()._create_client(asynchronous=True)  # type: ignore[misc]
            client.set_response_callback("BRPOP", self._note_popped)
            return client
        if (
            self._kept is None or self._kept.connection_pool is not self.pool
        ):  # a lost connection or a fork makes a new pool
            self._kept = super()._create_client()  # type: ignore[misc]
        return self._kept

    def _note_popped(self, answer: Any, **_: Any) -> Any:
        self._popped = answer
        return answer

    def _brpop_read(self, **options: Any) -> Any:
        """Take a message; what is none at all is refused, and the worker goes on."""
        self._popped = None
        try:
            return super()._brpop_read(**options)  # type: ignore[misc]
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            if not self._popped:
                raise
            queue, raw = (bytes_to_str(part) for part in self._popped)
            letter = rejection.Letter(queue=queue.rsplit(self.sep, 1)[0], raw=raw[: 4 * rejection.HEAD], size=len(raw))
            reason = f"It is no message: {foreign.error_type(error)}: {foreign.error_text(error)}"
            rejection.refuse(letter, kind="unreadable", reason=reason)
            return True


class Transport(redis.Transport):
    """Kombu's, with our channel."""

    Channel = Channel


def register() -> None:
    """Let `redis://` and `rediss://` mean this transport in this process."""
    name = f"{__name__}:Transport"
    TRANSPORT_ALIASES.update(redis=name, rediss=name)

"""Takes a message from a Redis broker in one step: it leaves its queue and is noted as unacknowledged at once.

Kombu takes a message with BRPOP, notes it in a second round trip, and acknowledges the one before in a third. While a queue
is busy all three are one script here: what has been acknowledged since the last look goes out with it. No message is between
its queue and the note any more, where the end of a process would lose it. While a queue is empty kombu's own commands are
used, since a script cannot wait. Keys and their content are kombu's: its own workers and ours may share a broker, and
visibility time-out and rescue find what they always found.

A job that does not acknowledge late is acknowledged when it starts, while all processes may be busy and no look is due. Where
a second delivery would be refused at its start, as that of every tracked job is, the acknowledgement waits a moment for the
next look, or for others to be sent with it. Of other jobs it is sent before the process waits.
"""

import contextlib
import json
import time
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kombu.transport import redis, virtual
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import dumps, loads
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import NoScriptError, ReadOnlyError, ResponseError

from jobroom import exhaustion
from jobroom import redis as ours
from jobroom.lua_scripts import source

if TYPE_CHECKING:
    from jobroom.celery.transport import Channel

# A queue is busy while BRPOP is answered within so many seconds.
AT_ONCE = 0.002
# Seconds for which an acknowledgement waits for the next look, where a second delivery would be refused.
AT_MOST = 0.25
# Headers of messages whose second delivery is refused when it starts: of tracked jobs, and of nodes of workflows.
REFUSED_TWICE = ("tracked", "workflow")


@contextlib.contextmanager
def waits_for_room() -> Iterator[None]:
    """Raise what a server without memory or disk, or a replica, answers to a write as a lost connection.

    Then the worker waits and connects again. Celery takes any other answer for a fault of its own, and ends.
    """
    try:
        yield
    except ResponseError as error:
        remedy = exhaustion.sentence(error)
        if not remedy and not isinstance(error, ReadOnlyError):
            raise
        raise ConnectionLost(remedy or str(error)) from error


# What of kombu's own parts is used for that; a release without one of them takes its messages as kombu does.
_CHANNEL = ("_brpop_start", "_brpop_read", "_flush_brpop_reauth", "_create_client", "_in_poll")
SUPPORTED = all(hasattr(redis.Channel, name) for name in _CHANNEL) and hasattr(virtual.Transport, "_deliver")


class QoS(redis.QoS):
    """What is unacknowledged; acknowledgements wait for the next look while the channel is busy."""

    channel: "Channel"

    def append(self, message: Any, delivery_tag: str) -> None:
        """Note a message as unacknowledged, unless the script has done so."""
        take = getattr(self.channel, "take", None)  # kombu's own channels have none
        if take is not None and take.noted:
            take.noted = False
            virtual.QoS.append(self, message, delivery_tag)
            return
        with waits_for_room():
            super().append(message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        """Acknowledge a message, now or with the next look."""
        take = getattr(self.channel, "take", None)
        if take is not None and self.channel.active_queues and take.defers(self._delivery(delivery_tag)):
            take.acknowledged.append(delivery_tag)
            virtual.QoS.ack(self, delivery_tag)
            return
        with waits_for_room():
            super().ack(delivery_tag)

    def _delivery(self, delivery_tag: str) -> Any:
        """Return the message of a tag; None where it is not with this channel."""
        try:
            return self.get(delivery_tag)
        except KeyError:
            return None


def acknowledge(channel: Any, *tags: str) -> None:
    """Forget that some worker has received these messages, in one transaction."""
    with channel.conn_or_acquire() as client, client.pipeline() as pipe:
        pipe.zrem(channel.unacked_index_key, *tags)
        pipe.hdel(channel.unacked_key, *tags)
        pipe.execute()


class Take:
    """How one channel takes its messages."""

    def __init__(self, channel: "Channel", *, on: bool) -> None:
        self.channel = channel
        self.on = on and SUPPORTED and hasattr(channel, "_queue_cycle") and not channel.global_keyprefix
        self.busy = False
        self.noted = False  # the message that is being delivered is noted as unacknowledged already
        self.places = ""  # the groups in which the job of the message that is being delivered has a place already
        self.acknowledged: list[str] = []  # to be sent with the next look
        self.urgent = False  # one of them is sent before the process waits
        self.timed = False  # at a time that is set they are sent at the latest
        self.sent: list[str] | None = None  # of the look that is under way; None while BRPOP is, or nothing
        self.digest = ""
        self.began = 0.0

    def defers(self, message: Any) -> bool:
        """Return whether the acknowledgement of a message is left to the next look, or to `settle`."""
        cycle: Any = self.channel.connection.cycle
        if self.on and cycle.loop is not None and is_refused_twice(message):
            return True
        self.urgent |= self.busy
        return self.busy

    def settle(self, loop: Any) -> None:
        """Send what no look has taken along: now where that is urgent or there is no event loop, else in a moment."""
        if not self.acknowledged:
            return
        if self.urgent or loop is None:
            self.flush()
        elif not self.timed:
            self.timed = True
            loop.call_later(AT_MOST, self._in_time)

    def _in_time(self) -> None:
        self.timed = False
        if not self.channel.closed:
            self.flush()

    def start(self, keys: list[str]) -> None:
        """Send the script for these lists."""
        channel = self.channel
        if not self.digest:
            with channel.conn_or_acquire() as client:
                self.digest = bytes_to_str(client.script_load(source("jobroom.celery", "receive")))
        self.sent, self.acknowledged = self.acknowledged, []
        held = ours.key("turns", "held")
        keys = [channel.unacked_key, channel.unacked_index_key, *keys]
        channel._in_poll = channel.client.connection
        channel._brpop_sent_at = time.monotonic()  # type: ignore[attr-defined]
        channel.client.connection.send_command("EVALSHA", self.digest, len(keys), *keys, time.time(), held, *self.sent)

    def read(self) -> tuple[str, str] | None:
        """Return list and text of the message that the script has taken; None where there was none."""
        sent, self.sent = self.sent or [], None
        try:
            answer = self.channel.client.parse_response(self.channel.client.connection, "EVALSHA")
        except NoScriptError:  # the server was started again
            self.digest, self.acknowledged = "", sent + self.acknowledged
            return None
        except BaseException:  # whatever it is goes on; to report the tags twice harms nothing
            self.acknowledged = sent + self.acknowledged
            raise
        self.busy = bool(answer)
        if not answer:
            return None
        self.noted = bool(answer[2])
        self.places = bytes_to_str(answer[3]) if answer[2] else ""
        return bytes_to_str(answer[0]), bytes_to_str(answer[1])

    def flush(self) -> None:
        """Report what is acknowledged, where no look does it."""
        tags, self.acknowledged, self.urgent = self.acknowledged, [], False
        if not tags:
            return
        try:
            with waits_for_room():
                acknowledge(self.channel, *tags)
        except BaseException:  # whatever it is goes on; the tags are sent with the next look
            self.acknowledged = tags + self.acknowledged
            raise


def new_tag() -> str:
    """Return a delivery tag that no message has."""
    return uuid.uuid4().hex


def with_new_tag(raw: str, tag: str) -> str:
    """Return the text of a message that was received with this tag, with another one.

    What goes back to its queue may be another worker's before the one that put it back has acknowledged its own receipt; with the
    same tag that would acknowledge the other's, and the death of that worker would lose the message.
    """
    quoted = json.dumps(tag)
    if raw.count(quoted) == 1:  # without reading all of a long text
        return raw.replace(quoted, json.dumps(new_tag()))
    message = loads(raw)
    message["properties"]["delivery_tag"] = new_tag()
    return str(dumps(message))


def is_refused_twice(message: Any) -> bool:
    """Return whether a second delivery of a message that has started would be refused."""
    headers = getattr(message, "headers", None)
    return isinstance(headers, dict) and any(headers.get(name) for name in REFUSED_TWICE)


class Poller(redis.MultiChannelPoller):
    """Looks for messages; acknowledgements that no look takes along are sent before the process waits, or in a moment."""

    loop: Any = None  # the worker's event loop, if it has one

    def __init__(self) -> None:
        super().__init__()
        self.open: set[Channel] = set()

    def add(self, channel: Any) -> None:
        """Look for messages of this channel too."""
        super().add(channel)
        self.open.add(channel)

    def discard(self, channel: Any) -> None:
        """Look no more for messages of this channel."""
        super().discard(channel)
        self.open.discard(channel)

    def close(self) -> None:
        """Let go of all channels."""
        super().close()
        self.open.clear()

    def on_poll_start(self) -> None:
        """Begin a look."""
        super().on_poll_start()
        for channel in self.open:
            channel.take.settle(self.loop)

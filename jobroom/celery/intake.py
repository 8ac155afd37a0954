"""Takes a message from a Redis broker in one step: it leaves its queue and is noted as unacknowledged at once.

Kombu takes a message with BRPOP, notes it in a second round trip, and acknowledges the one before in a third. While a queue
is busy all three are one script here: what has been acknowledged since the last look goes out with it. No message is between
its queue and the note any more, where the end of a process would lose it. While a queue is empty kombu's own commands are
used, since a script cannot wait. Keys and their content are kombu's: its own workers and ours may share a broker, and
visibility time-out and rescue find what they always found.
"""

import time
from typing import TYPE_CHECKING, Any

from kombu.transport import redis, virtual
from kombu.utils.encoding import bytes_to_str
from redis.exceptions import NoScriptError

from jobroom.lua_scripts import source

if TYPE_CHECKING:
    from jobroom.celery.transport import Channel

# A queue is busy while BRPOP is answered within so many seconds.
AT_ONCE = 0.002


class QoS(redis.QoS):
    """What is unacknowledged; acknowledgements wait for the next look while the channel is busy."""

    channel: "Channel"

    def append(self, message: Any, delivery_tag: str) -> None:
        """Note a message as unacknowledged, unless the script has done so."""
        take = getattr(self.channel, "take", None)  # kombu's own channels have none
        if take is not None and take.noted:
            take.noted = False
            virtual.QoS.append(self, message, delivery_tag)
        else:
            super().append(message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        """Acknowledge a message, now or with the next look."""
        take = getattr(self.channel, "take", None)
        if take is not None and take.busy and self.channel.active_queues:
            take.acknowledged.append(delivery_tag)
            virtual.QoS.ack(self, delivery_tag)
        else:
            super().ack(delivery_tag)


class Take:
    """How one channel takes its messages."""

    def __init__(self, channel: "Channel", *, on: bool) -> None:
        self.channel = channel
        self.on = on and not channel.global_keyprefix
        self.busy = False
        self.noted = False  # the message that is being delivered is noted as unacknowledged already
        self.acknowledged: list[str] = []  # to be told with the next look
        self.told: list[str] | None = None  # of the look that is under way; None while BRPOP is, or nothing
        self.digest = ""
        self.began = 0.0

    def start(self, keys: list[str]) -> None:
        """Send the script for these lists."""
        channel = self.channel
        if not self.digest:
            self.digest = bytes_to_str(channel._create_client().script_load(source("jobroom.celery", "receive")))
        self.told, self.acknowledged = self.acknowledged, []
        keys = [channel.unacked_key, channel.unacked_index_key, *keys]
        channel._in_poll = channel.client.connection
        channel._brpop_sent_at = time.monotonic()  # type: ignore[attr-defined]
        channel.client.connection.send_command("EVALSHA", self.digest, len(keys), *keys, time.time(), *self.told)

    def read(self) -> tuple[str, str] | None:
        """Return list and text of the message that the script has taken; None where there was none."""
        told, self.told = self.told or [], None
        try:
            answer = self.channel.client.parse_response(self.channel.client.connection, "EVALSHA")
        except NoScriptError:  # the server was started again
            self.digest, self.acknowledged = "", told + self.acknowledged
            return None
        except BaseException:  # whatever it is goes on; to tell the tags twice harms nothing
            self.acknowledged = told + self.acknowledged
            raise
        self.busy = bool(answer)
        if not answer:
            return None
        self.noted = bool(answer[2])
        return bytes_to_str(answer[0]), bytes_to_str(answer[1])

    def flush(self) -> None:
        """Tell what is acknowledged, where no look does it."""
        tags, self.acknowledged = self.acknowledged, []
        if not tags:
            return
        try:
            with self.channel._create_client().pipeline() as pipe:
                pipe.zrem(self.channel.unacked_index_key, *tags)
                pipe.hdel(self.channel.unacked_key, *tags)
                pipe.execute()
        except BaseException:  # whatever it is goes on; the tags are told with the next look
            self.acknowledged = tags + self.acknowledged
            raise


class Poller(redis.MultiChannelPoller):
    """Looks for messages; acknowledgements that no look takes along are told before the process waits."""

    def on_poll_start(self) -> None:
        """Begin a look."""
        super().on_poll_start()
        for channel in self._channels:  # type: ignore[attr-defined]
            channel.take.flush()

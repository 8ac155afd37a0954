"""One Redis subscription for all sockets of a server process.

A message is parsed and rendered once, whatever the number of its viewers; a topic no one watches costs nothing.
"""

import asyncio
import json
import logging
import time
import weakref
from typing import Any

from redis import RedisError
from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from jobroom import conf
from jobroom.live import access, sockets, topics
from jobroom.live.conf import settings
from jobroom.live.guard import Guard
from jobroom.live.snapshot import Looks
from jobroom.live.snapshot import text as as_text
from jobroom.live.subscriber import Watcher

logger = logging.getLogger(__name__)

Rendered = dict[str, Any]  # an event as viewers see it

_hubs: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Hub]" = weakref.WeakKeyDictionary()


def current() -> "Hub":
    """Return the hub of the running event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        _hubs[loop] = Hub()
    return _hubs[loop]


class Hub:
    """Brings what is published on a topic to the subscribers of that topic."""

    def __init__(self) -> None:
        self.watchers: dict[str, set[Watcher]] = {}
        # What a watcher gets of a topic, where that is not everything.
        self._shares: dict[tuple[str, Watcher], topics.Share] = {}
        self.looks = Looks()
        self.guard = Guard()
        self._pubsub: PubSub | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._confirmed: dict[str, asyncio.Event] = {}
        # The newest progress of each topic that came in this turn of the loop: (sequence number, what viewers see).
        self._latest: dict[str, tuple[int, Rendered]] = {}

    async def join(self, topic: str, subscriber: Watcher) -> None:
        """Bring `topic` to `subscriber` from now on; returns when the subscription is in force."""
        self._start()
        watchers = self.watchers.setdefault(topic, set())
        watchers.add(subscriber)
        channel = topics.channel(topic)
        if channel not in self._confirmed:
            self._confirmed[channel] = asyncio.Event()
            await self._ask("subscribe", channel)
        await self._confirmed[channel].wait()

    async def leave(self, topic: str, subscriber: Watcher) -> None:
        """Stop bringing `topic`; the last to leave ends the subscription."""
        watchers = self.watchers.get(topic, set())
        watchers.discard(subscriber)
        self._shares.pop((topic, subscriber), None)
        if not watchers and self.watchers.pop(topic, None) is not None:
            channel = topics.channel(topic)
            self._confirmed.pop(channel, None)
            await self._ask("unsubscribe", channel)
        if not self.watchers:
            await self._stop()

    def give(self, topic: str, subscriber: Watcher, share: topics.Share) -> None:
        """Bring of `topic` only this share to `subscriber`, until it leaves."""
        self._shares[topic, subscriber] = share

    async def _ask(self, verb: str, channel: str) -> None:
        """Change the subscription; without a connection the reader does it when there is one."""
        if self._pubsub is None:
            return
        try:
            await getattr(self._pubsub, verb)(channel)
        except (RedisError, OSError) as error:
            logger.warning("Live subscription: Redis is unavailable: %s", error)

    def _start(self) -> None:
        if not self._tasks:
            self._tasks = [
                asyncio.create_task(work) for work in (self._read(), self._beat(), self.guard.run(self._is_mine))
            ]

    async def _stop(self) -> None:
        # The guard itself may end the last topic: it notices that it is not wanted any more.
        tasks, self._tasks = [task for task in self._tasks if task is not asyncio.current_task()], []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _is_mine(self) -> bool:
        """Return whether the running task is one of those at work."""
        return asyncio.current_task() in self._tasks

    async def _read(self) -> None:
        """Read the subscription for as long as anyone watches; come back after a lost connection."""
        delay = 0.1
        while True:
            connection = Redis.from_url(conf.settings.REDIS_URL, decode_responses=True, socket_timeout=None)
            try:
                async with connection, connection.pubsub() as pubsub:
                    # What publishes changed rights, which also keeps the subscription alive when no topic is watched.
                    before = set(self.watchers)
                    await pubsub.subscribe(topics.channel(access.TOPIC), *map(topics.channel, before))
                    self._pubsub = pubsub
                    for topic in set(self.watchers) - before:
                        await pubsub.subscribe(topics.channel(topic))
                    delay = 0.1
                    async for message in pubsub.listen():
                        self._take(message)
            except (RedisError, OSError) as error:
                logger.warning("Live updates: Redis is unavailable: %s", error)
            finally:
                self._pubsub = None
            await asyncio.sleep(delay)
            delay = min(delay * 2, 2.0)
            self._resend_all()

    def _resend_all(self) -> None:
        """What was published meanwhile is gone: everyone gets a fresh snapshot, after a look at the rights."""
        self.guard.ask_all()
        for topic, watchers in self.watchers.items():
            for subscriber in watchers:
                subscriber.overflow(topic)

    def _take(self, message: dict[str, str]) -> None:
        if message["type"] == "subscribe":
            confirmed = self._confirmed.get(message["channel"])
            if confirmed is not None:
                confirmed.set()
        elif message["type"] == "message":
            topic = topics.of_channel(message["channel"])
            if topic == access.TOPIC:
                self.guard.notify(message["data"])
            else:
                self._deliver(topic, message["data"])

    def _deliver(self, topic: str, data: str) -> None:
        if not self.watchers.get(topic):
            return
        kind, _ = topics.parse(topic)
        event = json.loads(data)
        seen = kind.render(event)
        if seen is None:
            return
        seq = int(event.get("seq") or 0)
        if seen["type"] == "progress":
            self._keep(topic, seq, seen)
            return
        self._bring_latest(topic)  # it was published before this
        self._bring(topic, seq, seen, event)

    def _keep(self, topic: str, seq: int, seen: Rendered) -> None:
        """Note a progress for the end of this turn: of a burst every viewer is offered the newest alone."""
        if not self._latest:
            asyncio.get_running_loop().call_soon(self._bring_all)
        if seq >= self._latest.get(topic, (0, seen))[0]:
            self._latest[topic] = (seq, seen)

    def _bring_all(self) -> None:
        for topic in list(self._latest):
            self._bring_latest(topic)

    def _bring_latest(self, topic: str) -> None:
        if topic in self._latest:
            self._bring(topic, *self._latest.pop(topic))

    def _bring(self, topic: str, seq: int, seen: Rendered, event: topics.Event | None = None) -> None:
        full = as_text({"topic": topic, "seq": seq, **seen})
        plain = ""  # written out when the first one needs it
        for subscriber in self.watchers.get(topic, ()):
            share = self._shares.get((topic, subscriber), topics.ALL)
            if event is not None and share.hears is not None and not share.hears(event):
                continue
            if share.plain:
                plain = plain or as_text({"topic": topic, "seq": seq, **topics.plain(topic, seen)})
            subscriber.offer(topic, seen["type"], seq, plain if share.plain else full)

    async def _beat(self) -> None:
        """Show every viewer that the line is open."""
        while True:
            await asyncio.sleep(settings.BEAT_INTERVAL)
            text = json.dumps({"type": "beat", "at": time.time()})
            for subscriber in {one for watchers in self.watchers.values() for one in watchers}:
                subscriber.say(text)
            await asyncio.to_thread(sockets.report, len(self.guard.sockets))

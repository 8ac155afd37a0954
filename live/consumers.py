"""The WebSocket `/ws/live/`.

The browser sends `{"subscribe": "job:<id>", "after": SEQ or null}` or `{"unsubscribe": "job:<id>"}`; it receives
`{"topic", "seq", "type", …}` where type is snapshot, progress, state, log, changed or denied, and `{"type": "beat"}`.
Several that are to be sent at once come as a list in one frame.
"""

import asyncio
import json
from typing import Any

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer

from live import hub, topics
from live.authentication import PROTOCOL
from live.conf import settings
from live.exceptions import UnknownTopic
from live.looking import text
from live.subscriber import Subscriber

NOT_LOGGED_IN = 4401
# No sequence number is larger: Redis and the databases count in 64 bits.
LAST = 2**63 - 1


class LiveConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]
    """One open page. Who may watch what is decided by the kind of topic, at each subscription."""

    async def connect(self) -> None:
        """Accept everybody who is logged in; close with 4401 otherwise, so that the page can say so."""
        self.watched: set[str] = set()
        self.subscriber = Subscriber(self._write, self._resync)
        self.writer = asyncio.create_task(self.subscriber.run())
        # A browser gives up a socket that does not confirm one of the subprotocols it offered.
        await self.accept(subprotocol=PROTOCOL if PROTOCOL in self.scope["subprotocols"] else None)
        if not self.scope["user"].is_authenticated:
            await self.close(code=NOT_LOGGED_IN)

    async def disconnect(self, code: int) -> None:
        """Leave all topics."""
        self.writer.cancel()
        await asyncio.gather(self.writer, return_exceptions=True)
        for topic in list(self.watched):
            await hub.current().leave(topic, self.subscriber)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Take one request; nonsense is answered, never fatal."""
        try:
            request = json.loads(text_data or "")
        except (ValueError, RecursionError):
            request = None
        if not isinstance(request, dict):
            self._answer("error", message="This is not a JSON object.")
            return
        after = request.get("after") or 0
        topic = request.get("subscribe")
        if isinstance(topic, str) and isinstance(after, int) and abs(after) <= LAST:
            await self._subscribe(topic, after)
        elif isinstance(request.get("unsubscribe"), str):
            await self._unsubscribe(request["unsubscribe"])
        else:
            self._answer("error", message='Send {"subscribe": "job:<id>", "after": null}.')

    async def _subscribe(self, topic: str, after: int) -> None:
        if len(self.watched) >= settings.TOPICS_LIMIT and topic not in self.watched:
            self._answer("denied", topic, message=f"One page may watch {settings.TOPICS_LIMIT} topics.")
            return
        if not await self._may_watch(topic):
            self._answer("denied", topic, message="There is no such topic, or you may not see it.")
            return
        self.subscriber.hold(topic)
        self.watched.add(topic)
        # First listen, then look: what happens in between is kept back and told after the snapshot.
        await hub.current().join(topic, self.subscriber)
        await self._tell(topic, after)

    async def _unsubscribe(self, topic: str) -> None:
        if topic in self.watched:
            self.watched.remove(topic)
            await hub.current().leave(topic, self.subscriber)
            self.subscriber.forget(topic)

    async def _resync(self, topic: str) -> None:
        """Tell the state anew; somebody who lost the right meanwhile is told that instead."""
        if topic not in self.watched:
            return
        if not await self._may_watch(topic):
            await self._unsubscribe(topic)
            self._answer("denied", topic, message="You may not see this any more.")
            return
        self.subscriber.hold(topic)
        await self._tell(topic, self.subscriber.seen(topic))

    async def _tell(self, topic: str, after: int) -> None:
        muted = await self._muted(topic)
        look = await hub.current().looks.at(topic, after)
        self.subscriber.mute(topic, muted)
        self.subscriber.release(topic, *look.texts(after, muted))

    @database_sync_to_async  # type: ignore[untyped-decorator]
    def _may_watch(self, topic: str) -> bool:
        try:
            kind, name = topics.parse(topic)
        except UnknownTopic:
            return False
        return kind.may_watch(self.scope["user"], name)

    @database_sync_to_async  # type: ignore[untyped-decorator]
    def _muted(self, topic: str) -> frozenset[str]:
        """Return the types of messages that are not for this person."""
        kind, name = topics.parse(topic)
        return frozenset() if not kind.private or kind.may_read(self.scope["user"], name) else kind.private

    def _answer(self, kind: str, topic: str | None = None, **data: Any) -> None:
        self.subscriber.answer(text({"topic": topic, "seq": 0, "type": kind, **data}))

    async def _write(self, frame: str) -> None:
        # Straight to the server: Channels' dispatch in between would cost more than the delivery itself.
        await self.base_send({"type": "websocket.send", "text": frame})

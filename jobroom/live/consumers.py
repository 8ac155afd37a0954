"""The Channels consumer of the WebSocket `/ws/live/`.

The browser sends `{"subscribe": "job:<id>", "after": SEQ or null}` or `{"unsubscribe": "job:<id>"}`; it receives
`{"topic", "seq", "type", …}` where type is snapshot, progress, state, log, changed or denied, and `{"type": "beat"}`.
Several that are to be sent at once come as a list in one frame.
"""

import asyncio
from typing import Any

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer

from jobroom.arguments.storable import parse
from jobroom.live import access, hub, topics
from jobroom.live.authentication import PROTOCOL, session_key, user_now
from jobroom.live.conf import settings
from jobroom.live.exceptions import UnknownTopic
from jobroom.live.snapshot import text
from jobroom.live.subscriber import Subscriber

NOT_LOGGED_IN = 4401
TOO_MANY = 4429
# No sequence number is larger: Redis and the databases count in 64 bits.
LAST = 2**63 - 1


_MANY = "You have {} pages with live updates open. Close some of them; this one still shows what a reload gives."


class LiveConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]
    """One open page. Who may watch what is decided by the kind of topic, at each subscription."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one socket, and leave nothing behind however it ends.

        Channels calls `disconnect` of those alone that end by a message, not where a page goes away while it is accepted, or
        where the database does not say what someone may see.
        """
        self.watched: set[str] = set()
        self.person: int | None = None
        self.session = ""
        self.subscriber = Subscriber(self._write, self._resync)
        self.writer = asyncio.create_task(self.subscriber.run())
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._leave()

    async def connect(self) -> None:
        """Accept everyone who is logged in; close with 4401 otherwise, so that the page can say so."""
        # A browser gives up a socket that does not confirm one of the subprotocols it offered.
        await self.accept(subprotocol=PROTOCOL if PROTOCOL in self.scope["subprotocols"] else None)
        if not self.scope["user"].is_authenticated:
            await self.close(code=NOT_LOGGED_IN)
            return
        self.person = self.scope["user"].pk
        self.session = access.digest(key) if (key := session_key(self.scope)) else ""
        if hub.current().guard.number_of(self.person) >= settings.SOCKETS_LIMIT:
            await self._write(text({"type": "error", "seq": 0, "message": _MANY.format(settings.SOCKETS_LIMIT)}))
            await self.close(code=TOO_MANY)
            return
        hub.current().guard.sockets.add(self)

    async def _leave(self) -> None:
        hub.current().guard.sockets.discard(self)
        self.writer.cancel()
        await asyncio.gather(self.writer, return_exceptions=True)
        for topic in list(self.watched):
            await hub.current().leave(topic, self.subscriber)

    async def end(self) -> None:
        """Close the socket of a session or token that has ended; the page says so."""
        await self._leave_all()
        await self.close(code=NOT_LOGGED_IN)

    async def recheck(self) -> None:
        """Ask for session and rights as they are now; what is not allowed any more ends."""
        if not await self._is_still_logged_in():
            await self.end()
            return
        for topic in list(self.watched):
            if not await self._may_watch(topic):
                await self._unsubscribe(topic)
                self._answer("denied", topic, message="You may not see this any more.")
            else:
                self._give(topic, await self._share(topic))

    async def _leave_all(self) -> None:
        for topic in list(self.watched):
            await self._unsubscribe(topic)

    @database_sync_to_async  # type: ignore[untyped-decorator]
    def _is_still_logged_in(self) -> bool:
        """Look at session or token, and keep the person as the database knows them now."""
        user = user_now(self.scope)
        if not user.is_authenticated or user.pk != self.person:
            return False
        self.scope["user"] = user
        return True

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Take one request; nonsense is answered, never fatal."""
        try:
            # A topic that cannot be kept is JSON all the same: `topics` refuses it, by its name.
            request = parse(text_data or "", storable=False)
        except ValueError:
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
        if not await self._is_still_logged_in():
            await self.end()
            return
        if not await self._may_watch(topic):
            self._answer("denied", topic, message="There is no such topic, or you may not see it.")
            return
        share = await self._share(topic)
        self.subscriber.hold(topic)
        self.watched.add(topic)
        self._give(topic, share)
        # First listen, then look: what happens in between is kept back and sent after the snapshot.
        await hub.current().join(topic, self.subscriber)
        await self._send_state(topic, after, share)

    async def _unsubscribe(self, topic: str) -> None:
        if topic in self.watched:
            self.watched.remove(topic)
            await hub.current().leave(topic, self.subscriber)
            self.subscriber.forget(topic)

    async def _resync(self, topic: str) -> None:
        """Send the state again; someone who lost the right meanwhile gets that answer instead."""
        if topic not in self.watched:
            return
        if not await self._may_watch(topic):
            await self._unsubscribe(topic)
            self._answer("denied", topic, message="You may not see this any more.")
            return
        share = await self._share(topic)
        self.subscriber.hold(topic)
        self._give(topic, share)
        await self._send_state(topic, self.subscriber.seen(topic), share)

    async def _send_state(self, topic: str, after: int, share: topics.Share) -> None:
        look = await hub.current().looks.at(topic, after)
        self.subscriber.release(topic, *look.texts(after, share.muted, share.plain))

    def _give(self, topic: str, share: topics.Share) -> None:
        self.subscriber.mute(topic, share.muted)
        hub.current().give(topic, self.subscriber, share)

    @database_sync_to_async  # type: ignore[untyped-decorator]
    def _may_watch(self, topic: str) -> bool:
        try:
            kind, name = topics.parse(topic)
        except UnknownTopic:
            return False
        return kind.may_watch(self.scope["user"], name)

    @database_sync_to_async  # type: ignore[untyped-decorator]
    def _share(self, topic: str) -> topics.Share:
        """Return what this person gets of the topic."""
        return topics.share_of(self.scope["user"], topic)

    def _answer(self, kind: str, topic: str | None = None, **data: Any) -> None:
        self.subscriber.answer(text({"topic": topic, "seq": 0, "type": kind, **data}))

    async def _write(self, frame: str) -> None:
        # Straight to the server: Channels' dispatch in between would cost more than the delivery itself.
        await self.base_send({"type": "websocket.send", "text": frame})

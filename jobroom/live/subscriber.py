"""One browser's side of the hub: what still has to be sent to it, in bounded memory."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from jobroom.live.conf import settings

Send = Callable[[str], Awaitable[None]]


class Watcher(Protocol):
    """Whom the hub brings messages to."""

    def offer(self, topic: str, kind: str, seq: int, text: str) -> None:
        """Take one message; returns at once."""

    def overflow(self, topic: str) -> None:
        """Note that messages of `topic` were lost."""

    def say(self, text: str) -> None:
        """Take a message that belongs to no topic."""


class Subscriber:
    """Keeps the order of messages, lets a newer progress replace an unsent older one, and never blocks the hub.

    `send` writes one text to the socket, a message or a list of those that wait; `resync(topic)` is awaited when the
    browser was too slow and must be given the state again.
    """

    def __init__(self, send: Send, resync: Callable[[str], Awaitable[None]]) -> None:
        self._send = send
        self._resync = resync
        self._outbox: dict[Any, str] = {}  # ordered; progress is keyed by its topic, everything else by a counter
        self._count = 0
        self._stale: set[str] = set()
        self._wake = asyncio.Event()
        # Topics whose snapshot is not sent yet: what arrives meanwhile waits here.
        self._held: dict[str, list[tuple[str, int, str]]] = {}
        self._flooded: set[str] = set()  # of these, those for which more came than is kept
        self._seen: dict[str, int] = {}
        # Types of messages that this browser must not get.
        self._muted: dict[str, frozenset[str]] = {}

    def mute(self, topic: str, kinds: frozenset[str]) -> None:
        """Keep messages of these types on `topic` from the browser; none lifts it."""
        self._muted[topic] = kinds

    def hold(self, topic: str) -> None:
        """Keep back what arrives on `topic` until `release`."""
        self._held[topic] = []
        self._flooded.discard(topic)

    def release(self, topic: str, texts: Sequence[str], seq: int) -> None:
        """Send the state, which contains all until `seq`, then what was kept back and is newer."""
        for text in texts:
            self._put(None, text)
        self._seen[topic] = max(seq, self._seen.get(topic, 0))
        held = self._held.pop(topic, [])
        if topic in self._flooded:
            # Only now: a second look beside the first could send its older state after what is newer.
            self._flooded.discard(topic)
            self.overflow(topic)
            return
        for kind, number, text in held:
            self.offer(topic, kind, number, text)

    def seen(self, topic: str) -> int:
        """Return the sequence number of the newest message taken for `topic`."""
        return self._seen.get(topic, 0)

    def forget(self, topic: str) -> None:
        """Drop what is known of a topic that is not watched any more."""
        self._held.pop(topic, None)
        self._flooded.discard(topic)
        self._seen.pop(topic, None)
        self._muted.pop(topic, None)
        self._stale.discard(topic)
        self._outbox.pop(topic, None)

    def offer(self, topic: str, kind: str, seq: int, text: str) -> None:
        """Take one message for the browser; returns at once."""
        if kind in self._muted.get(topic, ()):
            return
        held = self._held.get(topic)
        if held is not None:
            if len(held) < settings.OUTBOX_LIMIT:
                held.append((kind, seq, text))
            else:
                self._flooded.add(topic)
            return
        # Without a number it says only that something changed, which is never too old to be sent.
        if topic in self._stale or (seq and seq <= self._seen.get(topic, 0)):
            return
        if len(self._outbox) >= settings.OUTBOX_LIMIT:
            self.overflow(topic)
            return
        self._seen[topic] = max(seq, self._seen.get(topic, 0))
        self._put(topic if kind == "progress" else None, text)

    def overflow(self, topic: str) -> None:
        """Note that `topic` must be sent again."""
        self._stale.add(topic)
        self._wake.set()

    def say(self, text: str) -> None:
        """Send a message that belongs to no topic, in place of an older one that is not sent yet."""
        self._put("beat", text)

    def answer(self, text: str) -> None:
        """Send an answer to what the browser asked."""
        self._put(None, text)

    def _put(self, conflate: str | None, text: str) -> None:
        if conflate is None:
            self._count += 1
            self._outbox[self._count] = text
        else:
            # The newer one takes the end of the line: it must not overtake a state that was published before it.
            self._outbox.pop(conflate, None)
            self._outbox[conflate] = text
        self._wake.set()

    async def run(self) -> None:
        """Write until cancelled or until the socket fails."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._outbox:
                # In a flood a frame for each would cost the server several times as much, and the browser too.
                texts = list(self._outbox.values())
                self._outbox.clear()
                await self._send(texts[0] if len(texts) == 1 else f"[{','.join(texts)}]")
            stale, self._stale = self._stale, set()
            for topic in stale:
                await self._resync(topic)

"""Waits for something on a topic without holding a thread, for views that answer when it has happened."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from jobroom.live import hub


class Waiter:
    """Rings when something worth a look happens: `rings` says of a message (its type, and all of it) whether it is."""

    def __init__(self, rings: Callable[[str, str], bool]) -> None:
        self._rings = rings
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Ring: someone knows that a look is worth it."""
        self._rung.set()

    def offer(self, topic: str, kind: str, seq: int, text: str) -> None:
        """Ring for a message of the topic."""
        if self._rings(kind, text):
            self.ring()

    def overflow(self, topic: str) -> None:
        """Ring, as messages may have been lost."""
        self.ring()

    def say(self, text: str) -> None:
        """Ignore signs of life."""

    async def wait(self, seconds: float) -> None:
        """Return when it has rung since the last call, or after `seconds`."""
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._rung.wait()
        except TimeoutError:
            return
        self._rung.clear()


@asynccontextmanager
async def waiter(topic: str, *, rings: Callable[[str, str], bool]) -> AsyncIterator[Waiter]:
    """Give a waiter for `topic`; it hears from the moment the block is entered, or Redis is back."""
    one, current = Waiter(rings), hub.current()
    joining = asyncio.create_task(current.join(topic, one))
    try:
        # Without Redis no one confirms the subscription; anyone who waits then looks by the clock.
        await asyncio.wait([joining], timeout=2.0)
        yield one
    finally:
        joining.cancel()
        await asyncio.gather(joining, return_exceptions=True)
        await current.leave(topic, one)

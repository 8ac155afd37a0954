"""What somebody is told who comes, or comes back, to a topic: its state now and what was missed.

When a thousand pages fall behind together, the state is looked up and written out once for all of them.
"""

import asyncio
import dataclasses
import json
from collections.abc import Callable
from typing import Any

from channels.db import database_sync_to_async

from live import topics


@dataclasses.dataclass(frozen=True)
class Missed:
    """One event that viewers may have missed, as they get it."""

    seq: int
    kind: str
    text: str


@dataclasses.dataclass(frozen=True)
class Look:
    """The state of a topic at one moment, and what was published before it, oldest first."""

    snapshot: str
    seq: int
    missed: list[Missed]

    def texts(self, after: int, muted: frozenset[str]) -> tuple[list[str], int]:
        """Return what to tell a viewer who knows all until `after`, and the newest sequence number in it.

        Of the progress that was missed only the last is news, of everything else all.
        """
        news = [one for one in self.missed if one.seq > after and one.kind not in muted]
        told = [one for one in news if one.kind != "progress"] + [one for one in news if one.kind == "progress"][-1:]
        return [self.snapshot, *(one.text for one in told)], max([self.seq, *(one.seq for one in told)])


@dataclasses.dataclass
class _Turn:
    """A look that has not begun yet."""

    done: "asyncio.Task[Look]"
    after: int


class Looks:
    """Lets all who ask for a topic while a look at it is under way share the next one.

    The one under way is not for them: what they have missed may have come after its beginning.
    """

    def __init__(self, read: Callable[[str, int], Look] | None = None) -> None:
        self._read = database_sync_to_async(read or look)
        self._next: dict[str, _Turn] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def at(self, topic: str, after: int) -> Look:
        """Return a look at the topic that begins now or later and knows what was missed since `after`."""
        turn = self._next.get(topic)
        if turn is None:
            turn = self._next[topic] = _Turn(asyncio.create_task(self._take(topic)), after)
        turn.after = min(turn.after, after)
        return await asyncio.shield(turn.done)

    async def _take(self, topic: str) -> Look:
        async with self._locks.setdefault(topic, asyncio.Lock()):
            turn = self._next.pop(topic)
            try:
                found: Look = await self._read(topic, turn.after)
                return found
            finally:
                if topic not in self._next:
                    del self._locks[topic]


def look(topic: str, after: int) -> Look:
    """Look at a topic; asks the database and Redis."""
    kind, name = topics.parse(topic)
    snapshot = kind.snapshot(name)
    seen = [(event["seq"], kind.render(event)) for event in kind.replay(name, after)]
    missed = [Missed(seq, one["type"], text({"topic": topic, "seq": seq, **one})) for seq, one in seen if one]
    return Look(text({"topic": topic, "type": "snapshot", **snapshot}), int(snapshot.get("seq") or 0), missed)


def text(message: dict[str, Any]) -> str:
    """Return a message as it goes over the line."""
    return json.dumps(message, default=str, separators=(",", ":"))

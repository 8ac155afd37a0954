"""What a new or returning subscriber of a topic is sent: its current state and the events that were missed.

When a thousand pages fall behind together, the state is looked up and written out once for all of them.
"""

import asyncio
import dataclasses
import json
from collections.abc import Callable
from typing import Any

from channels.db import database_sync_to_async

from jobroom.live import topics


@dataclasses.dataclass(frozen=True)
class Missed:
    """One event that viewers may have missed, as they get it."""

    seq: int
    kind: str
    text: str
    plain: str = ""  # for those who may not read all; empty where it is the same


@dataclasses.dataclass(frozen=True)
class Look:
    """The state of a topic at one moment, and what was published before it, oldest first."""

    snapshot: str
    seq: int
    missed: list[Missed]
    plain: str = ""  # the snapshot for those who may not read all; empty where it is the same

    def texts(self, after: int, muted: frozenset[str], plain: bool = False) -> tuple[list[str], int]:
        """Return what to send a viewer who knows all until `after`, and the newest sequence number in it.

        With `plain` for one who may not read all.

        Of the progress that was missed only the last is news, of everything else all.
        """
        news = [one for one in self.missed if one.seq > after and one.kind not in muted]
        kept = [one for one in news if one.kind != "progress"] + [one for one in news if one.kind == "progress"][-1:]
        texts = [(self.snapshot, self.plain), *((one.text, one.plain) for one in kept)]
        newest = max([self.seq, *(one.seq for one in kept)])
        return [less if plain and less else full for full, less in texts], newest


@dataclasses.dataclass
class _Turn:
    """A look that has not started yet."""

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
    missed = [Missed(seq, one["type"], *_both(topic, {"topic": topic, "seq": seq, **one})) for seq, one in seen if one]
    full, plain = _both(topic, {"topic": topic, "type": "snapshot", **snapshot})
    return Look(full, int(snapshot.get("seq") or 0), missed, plain)


def _both(topic: str, message: dict[str, Any]) -> tuple[str, str]:
    """Return a message for those who may read all, and for others; empty where that is the same."""
    less = topics.plain(topic, message)
    return text(message), text(less) if less != message else ""


def text(message: dict[str, Any]) -> str:
    """Return a message as it goes over the line."""
    return json.dumps(message, default=str, separators=(",", ":"))

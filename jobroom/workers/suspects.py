"""Remembers what looked abandoned and since when; nothing is acted upon at first sight."""

import json
from collections.abc import Iterable

from jobroom import redis
from jobroom.workers.conf import settings

# Seconds for which the memory lasts without a look: after a pause (no recorder, a machine that slept) it begins again,
# because then the silence of others may be our own.
MEMORY = 30


def key() -> str:
    """Return the key of the memory."""
    return redis.key("rescue", "suspects")


class Suspects:
    """The suspects of one kind, `message` or `job`, each with the time on Redis's clock when it was first noticed."""

    def __init__(self, client: redis.Client, kind: str, now: float, known: float | None = None) -> None:
        self.client = client
        self.kind = kind
        self.now = now
        self.known = now if known is None else known  # up to then the history knows everything
        text: str | None = client.get(f"{key()}:{kind}")  # type: ignore[assignment]
        self.since: dict[str, float] = json.loads(text) if text else {}

    def confirmed(self, names: Iterable[str]) -> list[str]:
        """Note who is a suspect now, forget all others, and return those that have been one for long enough."""
        self.since = {name: self.since.get(name, self.now) for name in names}
        self.save()
        return [
            name for name, since in self.since.items() if min(self.now, self.known) - since >= settings.RESCUE_MARGIN
        ]

    def save(self) -> None:
        """Keep the memory for the next look."""
        self.client.set(f"{key()}:{self.kind}", json.dumps(self.since), ex=MEMORY)

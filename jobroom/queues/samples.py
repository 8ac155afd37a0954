"""Samples of queue lengths and of taken messages, every few seconds, for the speed at which queues fill and empty.

The list `queues:samples` in Redis has one entry a round, the newest first. What went out of a queue is what workers took, as
each counts it; what came in is that and what the queue has grown by.
"""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import Any

from jobroom import redis
from jobroom.events.heartbeat import Worker

# Samples that are kept, and seconds over which a rate is taken.
KEPT, WINDOW = 120, 300.0
# A rate over less than these seconds says nothing.
SHORTEST = 4.0


@dataclasses.dataclass(frozen=True)
class Rate:
    """Messages a second, over the last minutes."""

    into: float
    out: float

    def drain(self, depth: int) -> float | None:
        """Return in how many seconds a queue should be empty, None when it does not become shorter."""
        net = self.out - self.into
        return depth / net if net > 0 else None


def key() -> str:
    """Return the key of the samples."""
    return redis.key("queues", "samples")


def take(depths: Mapping[str, int], workers: Iterable[Worker]) -> None:
    """Note a sample."""
    client = redis.client()
    taken = {worker.instance: worker.taken for worker in workers}
    text = json.dumps({"at": redis.now(client), "depths": dict(depths), "taken": taken})
    with client.pipeline() as pipe:
        pipe.lpush(key(), text)
        pipe.ltrim(key(), 0, KEPT - 1)
        pipe.execute()


def rates() -> dict[str, Rate]:
    """Return the rates of all queues that two samples know."""
    client = redis.client()
    texts: Any = client.lrange(key(), 0, KEPT - 1)
    found = [json.loads(text) for text in texts]
    if len(found) < 2:
        return {}
    last = found[0]
    if redis.now(client) - last["at"] > WINDOW:
        return {}  # no recorder takes samples any more
    first = min((sample for sample in found if last["at"] - sample["at"] <= WINDOW), key=lambda sample: sample["at"])
    seconds = last["at"] - first["at"]
    if seconds < SHORTEST:
        return {}
    return {queue: _rate(queue, first, last, seconds) for queue in last["depths"] if queue in first["depths"]}


def _rate(queue: str, first: Mapping[str, Any], last: Mapping[str, Any], seconds: float) -> Rate:
    out = sum(
        max(0, numbers.get(queue, 0) - first["taken"].get(instance, {}).get(queue, 0))
        for instance, numbers in last["taken"].items()
    )
    grown = last["depths"][queue] - first["depths"][queue]
    return Rate(max(0, out + grown) / seconds, out / seconds)

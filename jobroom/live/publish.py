"""Notifies live pages that something changed; for what is not an event of a job (those publish themselves)."""

import json
import re
from collections.abc import Iterable
from typing import Any

from jobroom import redis
from jobroom.live import topics

# Of more topics than these it is cheaper to ask which ones there are than to ask for each.
_FEW = 20


def publish(messages: Iterable[tuple[str, dict[str, Any]]]) -> None:
    """Publish (topic, event) pairs in one round trip; each event has `type` and `seq`."""
    with redis.client().pipeline(transaction=False) as pipe:
        for topic, event in messages:
            pipe.publish(topics.channel(topic), json.dumps(event, default=str, separators=(",", ":")))
        pipe.execute()


def watched(names: Iterable[str]) -> list[str]:
    """Return those of the topics that anyone watches now."""
    by_channel = {topics.channel(name): name for name in names}
    if len(by_channel) <= _FEW:
        answer: Any = redis.client().pubsub_numsub(*by_channel) if by_channel else []
        return [by_channel[channel] for channel, number in answer if number]
    open_ones: Any = redis.client().pubsub_channels(_escaped(topics.channel("")) + "*")
    return [by_channel[channel] for channel in open_ones if channel in by_channel]


def watched_of(kind: str) -> list[str]:
    """Return the names of all topics of a kind that anyone watches now, such as the ids of jobs."""
    begin = topics.channel(f"{kind}:")
    open_ones: Any = redis.client().pubsub_channels(_escaped(begin) + "*")
    return sorted(channel.removeprefix(begin) for channel in open_ones)


def _escaped(text: str) -> str:
    """Return the pattern that matches `text` alone."""
    return re.sub(r"([*?\[\]\\])", r"\\\1", text)

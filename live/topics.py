"""Topics: what a live page listens to. Apps register the kinds they own; this app knows none of them."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from common import redis
from live.exceptions import UnknownTopic

Event = dict[str, Any]
# No half of a surrogate pair: neither Redis nor a socket takes one.
_TOPIC = re.compile(r"([a-z]+)(?::([^\s:\ud800-\udfff][^\s\ud800-\udfff]{0,254}))?")


def nothing_missed(name: str, after: int) -> list[Event]:
    """Return no events: for kinds whose snapshot says everything."""
    return []


def everybody(user: Any, name: str) -> bool:
    """Return True: for kinds that keep nothing from those who may watch."""
    return True


@dataclass(frozen=True)
class Kind:
    """What the live app must know of one kind of topic; the callables may use the database.

    `may_watch(user, name)` decides; `snapshot(name)` gives the state now, with `seq`, the sequence number it contains;
    `replay(name, after)` gives what a reconnecting page missed, oldest first; `render(event)` gives what a viewer may
    see of an event, None for nothing. What `render` says is the same for all viewers; events whose type is `private`
    go to those alone for whom `may_read(user, name)` is true, which is asked at each subscription.
    """

    may_watch: Callable[[Any, str], bool]
    snapshot: Callable[[str], Event]
    render: Callable[[Event], Event | None]
    replay: Callable[[str, int], list[Event]] = nothing_missed
    private: frozenset[str] = frozenset()
    may_read: Callable[[Any, str], bool] = everybody


_kinds: dict[str, Kind] = {}


def register(name: str, kind: Kind) -> None:
    """Make `name:<id>` (or `name` alone) a topic; the later registration wins."""
    _kinds[name] = kind


def parse(topic: str) -> tuple[Kind, str]:
    """Return the kind and the id in `topic`; raise UnknownTopic."""
    found = _TOPIC.fullmatch(topic)
    if found is None or found[1] not in _kinds:
        raise UnknownTopic
    return _kinds[found[1]], found[2] or ""


def channel(topic: str) -> str:
    """Return the Redis channel of a topic."""
    return redis.key("live", topic)


def of_channel(name: str) -> str:
    """Return the topic of a Redis channel."""
    return name.removeprefix(redis.key("live", ""))

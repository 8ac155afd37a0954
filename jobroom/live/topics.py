"""The registry of topics that live pages subscribe to; apps register the kinds they own."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jobroom import redis
from jobroom.live.exceptions import UnknownTopic

Event = dict[str, Any]
# No half of a surrogate pair: neither Redis nor a socket takes one.
_TOPIC = re.compile(r"([a-z]+)(?::([^\s:\ud800-\udfff][^\s\ud800-\udfff]{0,254}))?")


def nothing_missed(name: str, after: int) -> list[Event]:
    """Return no events: for kinds whose snapshot says everything."""
    return []


def everyone(user: Any, name: str) -> bool:
    """Return True: for kinds that keep nothing from those who may watch."""
    return True


@dataclass(frozen=True)
class Kind:
    """What the live app must know of one kind of topic; the callables may use the database.

    `may_watch(user, name)` decides; `snapshot(name)` gives the state now, with `seq`, the sequence number it contains;
    `replay(name, after)` gives what a reconnecting page missed, oldest first; `render(event)` gives what a viewer may
    see of an event, None for nothing. What `render` says is the same for all who may read: events whose type is `private`
    go to those alone for whom `may_read(user, name)` is true, and others get of a snapshot or an event what `plain` leaves
    of it. `hearing(user)` gives what says of an event whether it is about something that the user may see, for topics that
    speak of many things. All of it is asked at each subscription, and again when rights change.
    """

    may_watch: Callable[[Any, str], bool]
    snapshot: Callable[[str], Event]
    render: Callable[[Event], Event | None]
    replay: Callable[[str, int], list[Event]] = nothing_missed
    private: frozenset[str] = frozenset()
    may_read: Callable[[Any, str], bool] = everyone
    plain: Callable[[Event], Event] | None = None
    hearing: Callable[[Any], Callable[[Event], bool]] | None = None


@dataclass(frozen=True)
class Share:
    """What one viewer gets of a topic: all but the `muted` types, what `plain` leaves of it, if it `hears` of it."""

    muted: frozenset[str] = frozenset()
    plain: bool = False
    hears: Callable[[Event], bool] | None = None


ALL = Share()


def share_of(user: Any, topic: str) -> Share:
    """Return what `user` gets of a topic by the rights of now; asks the database."""
    kind, name = parse(topic)
    restricted = bool(kind.private or kind.plain) and not kind.may_read(user, name)
    return Share(
        muted=kind.private if restricted else frozenset(),
        plain=restricted and kind.plain is not None,
        hears=kind.hearing(user) if kind.hearing is not None else None,
    )


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


def plain(topic: str, seen: Event) -> Event:
    """Return what those get of a snapshot or an event who may not read all of the topic."""
    kind, _ = parse(topic)
    return seen if kind.plain is None else kind.plain(seen)


def channel(topic: str) -> str:
    """Return the Redis channel of a topic."""
    return redis.key("live", topic)


def of_channel(name: str) -> str:
    """Return the topic of a Redis channel."""
    return name.removeprefix(redis.key("live", ""))

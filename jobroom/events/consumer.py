"""Reads the stream of events as one of any number of recorders: each entry is handed to one of them, and is taken
over by another when that one does not finish it (a consumer group, https://redis.io/docs/latest/commands/xreadgroup).
"""

import dataclasses
import functools
import json
import logging
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, TypeVar

from jobroom import events, leases, redis
from jobroom.conf import settings
from jobroom.exceptions import RedisUnavailable
from jobroom.lua_scripts import source

logger = logging.getLogger(__name__)

GROUP = "recorder"
# Entries that could not be understood; the newest are kept for someone to look at.
DEAD_KEPT = 1000
# A reader that said nothing for a day and holds nothing is forgotten.
FORGOTTEN_AFTER = 24 * 3600.0
# While the history is further behind than this, in seconds, what it calls running may long have ended.
BEHIND = 5.0

_READ, _DONE = source("jobroom.events", "read"), source("jobroom.events", "done")


T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the stream: its position and its text."""

    id: str
    text: str


@dataclasses.dataclass(frozen=True, slots=True)
class Lag:
    """How far the recorder is behind: entries that are not recorded, and the age of the oldest in seconds."""

    entries: int
    seconds: float

    @property
    def is_late(self) -> bool:
        """Whether what the history says of running jobs is too old to act on."""
        return self.seconds >= BEHIND


@dataclasses.dataclass(frozen=True, slots=True)
class Mark:
    """A moment: the position of the last event written before it, and the time on Redis's clock.

    Code that acts because something was *not* heard of takes a mark first, and acts when the history has passed it. What
    happened before the mark and is absent then has not happened; of what happened later, nothing is known.
    """

    position: str
    at: float

    @property
    def moment(self) -> datetime:
        """The time as a moment in UTC."""
        return datetime.fromtimestamp(self.at, UTC)


def mark() -> Mark:
    """Return the mark of now; raise RedisUnavailable."""
    client = redis.client()

    def call() -> Mark:
        with client.pipeline(transaction=False) as pipe:
            pipe.time()
            pipe.xinfo_stream(events.stream())
            (seconds, microseconds), about = pipe.execute(raise_on_error=False)
        # The clock is read first: of what is written between both, the history may know without harm.
        at = float(seconds) + float(microseconds) / 1e6
        if isinstance(about, redis.ResponseError):
            if "no such key" not in str(about):
                raise about
            return Mark("0-0", at)
        if isinstance(about, Exception):
            raise about
        return Mark(str(about["last-generated-id"]), at)

    return _call(call)


def is_recorded(mark: Mark) -> bool:
    """Return whether everything written before the mark is in the history; raise RedisUnavailable.

    Recorded entries leave the stream, and what another recorder has read and not written is still there.
    """
    return not _call(lambda: redis.client().xrange(events.stream(), max=mark.position, count=1))


def wait_for(mark: Mark, seconds: float) -> bool:
    """Return whether the history passes the mark within `seconds`; raise RedisUnavailable."""
    end = time.monotonic() + seconds
    while not is_recorded(mark):
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def dead_key() -> str:
    """Return the key of the list of entries that were put aside."""
    return redis.key("events", "dead")


class Reader:
    """One member of the group. Every method raises RedisUnavailable while no Redis answers."""

    def __init__(self, name: str | None = None) -> None:
        self.name = name or f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self.client = redis.client()

    def read(self, count: int, wait: float) -> list[Entry]:
        """Return up to `count` entries that no one has been given yet; wait up to `wait` seconds for the first."""

        def call() -> list[Entry]:
            answer: Any = self._run(_READ, GROUP, self.name, count)
            if answer:
                positions, texts = answer
                return list(map(Entry, positions.split(" "), texts.split("\x1e")))
            if wait <= 0:
                return []
            # A script cannot wait.
            answer = self.client.xreadgroup(
                GROUP, self.name, {events.stream(): ">"}, count=count, block=max(1, int(wait * 1000))
            )
            found = [entry for rows in _streams(answer) for entry in _entries(rows)]
            if not found:
                # A sign of life: before 7.2 Redis calls idle who asks and is given nothing, and `/readyz` looks at that.
                self.client.xreadgroup(GROUP, self.name, {events.stream(): "0"}, count=1)
            return found

        return self._in_group(call)

    def take_over(self, count: int, idle: float) -> list[Entry]:
        """Return up to `count` entries that were handed to someone `idle` seconds ago and are not done."""

        def call() -> list[Entry]:
            answer: Any = self.client.xautoclaim(
                events.stream(), GROUP, self.name, min_idle_time=int(idle * 1000), count=count
            )
            return _entries(answer[1])

        return self._in_group(call)

    def done(self, entries: Iterable[Entry]) -> None:
        """Take the entries off the stream: they are in the database."""
        positions = " ".join([entry.id for entry in entries])
        if positions:
            self._in_group(lambda: self._run(_DONE, GROUP, positions))

    def put_aside(self, entry: Entry, reason: str) -> None:
        """Keep an entry that cannot be recorded for someone to look at; it blocks no one."""
        text = json.dumps({"id": entry.id, "reason": reason, "text": entry.text})

        def call() -> None:
            with self.client.pipeline(transaction=True) as pipe:
                pipe.lpush(dead_key(), text)
                pipe.ltrim(dead_key(), 0, DEAD_KEPT - 1)
                pipe.execute()

        _call(call)

    def turn(self, name: str, seconds: float) -> bool:
        """Return whether it is this reader's turn to do the chore `name`, which one reader does at a time.

        The turn ends after `seconds`, or when `end_turn` says when the next one begins.
        """
        key = redis.key("turn", name)
        return _call(lambda: leases.take(self.client, key, self.name, seconds))

    def mark(self) -> Mark:
        """Return the mark of now, see `mark`."""
        return mark()

    def is_recorded(self, mark: Mark) -> bool:
        """Return whether the history has passed the mark, see `is_recorded`."""
        return is_recorded(mark)

    def end_turn(self, name: str, pause: float) -> None:
        """Let the next turn at the chore begin after `pause` seconds; of another reader's turn nothing is changed."""
        key = redis.key("turn", name)
        _call(lambda: leases.end(self.client, key, self.name, pause))

    def leave(self) -> None:
        """Say good-bye, unless entries are still with this reader: others take those over."""

        def call() -> None:
            for reader in self._readers():
                if reader["name"] == self.name and not reader["pending"]:
                    self.client.xgroup_delconsumer(events.stream(), GROUP, self.name)

        self._in_group(call)

    def forget_others(self) -> None:
        """Remove readers from the group that are gone and hold nothing."""

        def call() -> None:
            for reader in self._readers():
                if not reader["pending"] and reader["idle"] > FORGOTTEN_AFTER * 1000:
                    self.client.xgroup_delconsumer(events.stream(), GROUP, reader["name"])

        self._in_group(call)

    def _run(self, source: str, *arguments: Any) -> Any:
        return redis.script(source)([events.stream()], arguments, client=self.client)

    def _readers(self) -> list[dict[str, Any]]:
        return list(self.client.xinfo_consumers(events.stream(), GROUP))

    def _in_group(self, call: Callable[[], T]) -> T:
        """Do `call`; if the group is not there, because Redis is new or was emptied, make it and do it again."""
        try:
            return _call(call)
        except _NoGroup:
            _call(self._make_group)
            return _call(call)

    def _make_group(self) -> None:
        try:
            self.client.xgroup_create(events.stream(), GROUP, id="0", mkstream=True)
        except redis.ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise


class _NoGroup(RedisUnavailable):
    """The group does not exist."""


def _call(call: Callable[[], T]) -> T:
    try:
        return call()
    except redis.ResponseError as error:
        # EXEC wraps the answer of the command, therefore no look at the beginning only.
        if "NOGROUP" in str(error) or "no such key" in str(error):
            raise _NoGroup(str(error)) from error
        raise RedisUnavailable(str(error)) from error
    except (redis.Error, OSError) as error:
        raise RedisUnavailable(str(error)) from error


def _streams(answer: Any) -> list[Any]:
    """Return the rows of each stream; the answer is a mapping in one version of the protocol, a list in the other."""
    if isinstance(answer, dict):
        return [rows[0] if rows and isinstance(rows[0], list) else rows for rows in answer.values()]
    return [rows for _, rows in answer or ()]


def _entries(rows: Any) -> list[Entry]:
    # A row without fields was trimmed from the stream while it was with a reader that vanished.
    return [Entry(at, fields.get("e", "")) for at, fields in rows if fields is not None]


def unrecorded(job: str, most: int, since: float = 0.0) -> list[Entry]:
    """Return the entries about `job` among those that `all_unrecorded` returns."""
    return [entry for entry in all_unrecorded(most, since) if job in entry.text]


def all_unrecorded(most: int, since: float = 0.0) -> list[Entry]:
    """Return the oldest entries, at most so many, that are not recorded yet.

    With `since` (seconds since 1970, by a clock that is at most ten seconds ahead of Redis') older ones are left out.
    Raises RedisUnavailable.
    """
    first = f"{max(0, int((since - 10) * 1000))}-0"
    return _entries(_call(lambda: _impatient(settings.REDIS_URL).xrange(events.stream(), min=first, count=most)))


@functools.lru_cache(maxsize=4)
def _impatient(url: str) -> redis.Client:
    return redis.connect(retry=None, socket_timeout=2, socket_connect_timeout=1)


def lag() -> Lag:
    """Return how far the recorder is behind; raise RedisUnavailable when no one can tell.

    Pages ask this, so it does not wait for a Redis that is away.
    """

    def call() -> Lag:
        with _impatient(settings.REDIS_URL).pipeline(transaction=False) as pipe:
            pipe.xlen(events.stream())
            pipe.xrange(events.stream(), count=1)
            pipe.time()
            length, oldest, (seconds, microseconds) = pipe.execute()
        if not oldest:
            return Lag(0, 0.0)
        written = int(oldest[0][0].partition("-")[0]) / 1000
        return Lag(int(length), max(0.0, float(seconds) + float(microseconds) / 1e6 - written))

    return _call(call)


def wait_until_recorded(seconds: float = 15.0) -> None:
    """Return when everything written so far is in the database; raise TimeoutError after `seconds`."""
    end = time.monotonic() + seconds
    while lag().entries:
        if time.monotonic() > end:
            raise TimeoutError(f"The recorder is still behind after {seconds:.0f} s: does a recorder run?")
        time.sleep(0.02)

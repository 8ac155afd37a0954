"""Reads and removes messages in the queues of a Redis broker, in steps that block Redis for a few milliseconds only.

Kombu keeps a queue as one list for each priority, whose end is taken first. What is taken out goes into a list of its own
below `queues:taken:<token>` first, in the same step, and `queues:works` says what it was taken for; so a process that is killed in
between leaves everything that another process needs to go on. All keys are in the database of the broker.
"""

import contextlib
import dataclasses
import hashlib
import itertools
import json
import logging
import re
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from kombu.utils.json import dumps, loads

from jobroom import redis
from jobroom.lua_scripts import source

logger = logging.getLogger(__name__)

# Messages and bytes that one step takes at most: about a millisecond and two.
STEP, STEP_BYTES = 200, 2_000_000
# From the nearer end of a list, Redis reaches so far in a few milliseconds: to read there, and to take one message out.
DEEPEST, DEEPEST_PICK = 200_000, 20_000
# Messages that are read at once when a page is shown or one is looked for, and bytes of a page.
CHUNK, FIND, PAGE_BYTES = 25, 100, 4_000_000
# So many messages may have been put back before one that a page has shown.
PUT_BACK = 100
# Seconds for which one process may work on what was taken before another one may.
TURN = 30

_TAKE, _PICK = source("jobroom.celery", "take"), source("jobroom.celery", "pick")


# Where kombu writes the address of a message. What a task was given stands in base64, and quotation marks inside of texts are
# escaped, so this is the address where it is there once.
_ADDRESS = re.compile(rb'"delivery_info": \{"exchange": "[^"\\]*", "routing_key": "[^"\\]*"\}, "priority": (\d+),')
_ID = re.compile(rb'"id": "([^"\\]*)"')


@dataclasses.dataclass(frozen=True)
class Work:
    """What messages were taken out of a queue for."""

    token: str
    kind: str  # purge, delete, move, front or back
    queue: str
    target: str  # the queue that they go to; empty where they go nowhere
    by: str
    reason: str
    at: float


@dataclasses.dataclass(frozen=True)
class Stored:
    """One message as it lies in a queue."""

    position: int  # 0 is taken next
    digest: str
    text: bytes


def digest_of(text: bytes) -> str:
    """Return what a page names a message by."""
    return hashlib.blake2b(text, digest_size=16).hexdigest()


def list_key(channel: Any, queue: str, priority: int) -> str:
    """Return the key of the list in which a queue's messages of a priority lie."""
    if (of_kombu := getattr(channel, "_q_for_pri", None)) is not None:
        return str(of_kombu(queue, priority))
    step = channel.priority(priority)
    return f"{queue}{channel.sep}{step}" if step else queue


def _priority(channel: Any, message: Any) -> int:
    """Return the priority of a message within the channel's bounds."""
    if (of_kombu := getattr(channel, "_get_message_priority", None)) is not None:
        return int(of_kombu(message, reverse=False))
    try:
        given = int(message["properties"]["priority"])
    except (TypeError, ValueError, KeyError):
        return int(channel.default_priority)
    return int(max(min(given, channel.max_priority), channel.min_priority))


class TurnLost(Exception):
    """Another process works on it by now: this one took too long."""


class Queues:
    """The queues of a Redis broker, over one open channel of kombu's."""

    def __init__(self, channel: Any) -> None:
        self.channel = channel
        self.client = channel.client
        self.turns: dict[str, str] = {}  # token of a work → what says that it is this process's turn

    def lists(self, queue: str) -> list[str]:
        """Return the keys of a queue, in the order in which they are emptied."""
        return [list_key(self.channel, queue, step) for step in self.channel.priority_steps]

    def depths(self, queues: Iterable[str]) -> dict[str, list[int]]:
        """Return for each queue how many messages each of its lists has, in one round trip."""
        names = list(queues)
        with self.client.pipeline(transaction=False) as pipe:
            for name in names:
                for key in self.lists(name):
                    pipe.llen(key)
            numbers = pipe.execute()
        width = len(self.channel.priority_steps)
        return {name: numbers[at * width : (at + 1) * width] for at, name in enumerate(names)}

    def page(self, queue: str, start: int, count: int) -> list[Stored]:
        """Return `count` messages from position `start` on, none beyond DEEPEST; fewer where they are very large."""
        found: list[Stored] = []
        size, skip, position = 0, start, start
        for key, length in zip(self.lists(queue), self.depths([queue])[queue], strict=True):
            at = min(skip, length)
            skip -= at
            while at < min(length, DEEPEST) and len(found) < count and size < PAGE_BYTES:
                many = min(CHUNK, count - len(found))
                texts = self.client.lrange(key, -at - many, -at - 1)
                if not texts:
                    break
                for text in reversed(texts):
                    found.append(Stored(position, digest_of(_bytes(text)), _bytes(text)))
                    position, size = position + 1, size + len(text)
                at += len(texts)
        return found

    def first(self, queues: Iterable[str]) -> dict[str, bytes]:
        """Return for each queue that has one the message that is taken next, in one round trip."""
        names = list(queues)
        with self.client.pipeline(transaction=False) as pipe:
            for name in names:
                for key in self.lists(name):
                    pipe.lindex(key, -1)
            texts = pipe.execute()
        width = len(self.channel.priority_steps)
        rows = {name: texts[at * width : (at + 1) * width] for at, name in enumerate(names)}
        return {name: _bytes(next(text for text in row if text)) for name, row in rows.items() if any(row)}

    def find(self, queue: str, position: int, digest: str) -> tuple[str, int, bytes] | None:
        """Return where a message lies now (key, index, text), looking from `position` towards the end that is taken first.

        Messages come nearer to that end, but for the few that are put back before them.
        """
        position += PUT_BACK
        for key, length in zip(self.lists(queue), self.depths([queue])[queue], strict=True):
            for end in range(min(position, length - 1, DEEPEST_PICK), -1, -FIND):
                low = max(0, end - FIND + 1)
                for at, text in enumerate(reversed(self.client.lrange(key, -end - 1, -low - 1)), low):
                    if digest_of(_bytes(text)) == digest:
                        return key, -at - 1, _bytes(text)
            position = max(0, position - length)
        return None

    def begin(self, work: Work) -> None:
        """Note what is going to be taken out for what."""
        self.client.hset(works_key(), work.token, json.dumps(dataclasses.asdict(work)))

    def take(self, work: Work, counts: Sequence[int]) -> int:
        """Take up to `counts` messages out of the lists of the queue, the oldest first; return how many."""
        script, taken = self.client.register_script(_TAKE), 0
        for key, most in zip(self.lists(work.queue), counts, strict=False):
            left = most
            while left > 0:
                number = int(script([key, taken_key(work.token)], [min(left, STEP), STEP_BYTES]))
                taken, left = taken + number, left - number
                if not number:
                    break
        return taken

    def pick(self, work: Work, position: int, digest: str) -> bool:
        """Take one message out; return whether it was there still."""
        script = self.client.register_script(_PICK)
        for _ in range(20):
            found = self.find(work.queue, position, digest)
            if found is None:
                return False
            key, index, text = found
            # Looked for from its end, so that no more of the list is gone through than needed.
            if script([key, taken_key(work.token)], [index, text, f"taken:{uuid.uuid4().hex}"]):
                return True
        return False

    def works(self) -> list[Work]:
        """Return what was started and is not finished, the oldest first."""
        texts = self.client.hvals(works_key())
        return sorted((Work(**json.loads(text)) for text in texts), key=lambda work: work.at)

    def left(self, work: Work) -> int:
        """Return how many messages of a work are not dealt with yet."""
        return int(self.client.llen(taken_key(work.token)))

    def taken(self, work: Work, most: int) -> list[bytes]:
        """Return the oldest messages that were taken out for a work and are not dealt with yet."""
        return [_bytes(text) for text in reversed(self.client.lrange(taken_key(work.token), -most, -1))]

    def done(self, work: Work, number: int) -> None:
        """Forget the oldest `number` messages of a work; raise TurnLost."""
        self._guarded(work, lambda pipe: pipe.ltrim(taken_key(work.token), 0, -number - 1))

    def put(self, work: Work, texts: Sequence[bytes]) -> None:
        """Put messages of a work, its oldest, into their queue and forget them, in one transaction; raise TurnLost."""
        rows = [self._addressed(text, work.target) for text in texts]
        jobs = tracked(texts) if work.kind == "move" else []

        def fill(pipe: Any) -> None:
            for key, group in itertools.groupby(rows, key=lambda row: row[0]):
                (pipe.rpush if work.kind == "front" else pipe.lpush)(key, *[text for _, text in group])
            if jobs:
                pipe.lpush(moved_key(work.token), *jobs)
            pipe.ltrim(taken_key(work.token), 0, -len(texts) - 1)

        self._guarded(work, fill)

    def _guarded(self, work: Work, fill: Callable[[Any], Any]) -> None:
        """Do what `fill` queues in one transaction, and only if it is this process's turn until then; raise TurnLost."""
        key = turn_key(work.token)
        with self.client.pipeline(transaction=True) as pipe:
            pipe.watch(key)
            if _bytes(pipe.get(key) or b"").decode() != self.turns.get(work.token):
                raise TurnLost
            pipe.multi()
            fill(pipe)
            pipe.expire(key, TURN)
            try:
                pipe.execute()
            except redis.WatchError as error:
                raise TurnLost from error

    def _addressed(self, text: bytes, queue: str) -> tuple[str, bytes | str]:
        """Return the list that a message goes to, and the message as if it had been sent to that queue."""
        plain = _ADDRESS.findall(text)
        if len(plain) == 1 and b'"' not in queue.encode() and b"\\" not in queue.encode():
            new = b'"delivery_info": {"exchange": "", "routing_key": "%s"}, "priority": %s,' % (
                queue.encode(),
                plain[0],
            )
            return list_key(self.channel, queue, int(plain[0])), _ADDRESS.sub(lambda _: new, text)
        message = loads(text.decode())
        key = list_key(self.channel, queue, _priority(self.channel, message))
        return key, _rewritten(message, queue, text)

    def moved(self, work: Work, most: int) -> list[str]:
        """Return jobs whose messages were moved and that do not show it yet, in the order of the moves."""
        texts = self.client.lrange(moved_key(work.token), -most, -1)
        return [_bytes(text).decode() for text in reversed(texts)]

    def moved_shown(self, work: Work, number: int) -> None:
        """Forget the first `number` jobs of `moved`; raise TurnLost."""
        self._guarded(work, lambda pipe: pipe.ltrim(moved_key(work.token), 0, -number - 1))

    def finish(self, work: Work) -> None:
        """Forget a work of which nothing is left."""
        self.client.hdel(works_key(), work.token)

    def turn(self, work: Work) -> bool:
        """Return whether this process may work on it now; `end_turn` gives that back."""
        value = uuid.uuid4().hex
        mine = bool(self.client.set(turn_key(work.token), value, nx=True, ex=TURN))
        if mine:
            self.turns[work.token] = value
        return mine

    def end_turn(self, work: Work) -> None:
        """Let others work on it."""
        with contextlib.suppress(TurnLost):
            self._guarded(work, lambda pipe: pipe.delete(turn_key(work.token)))

    def jobs_taken(self) -> Iterator[str]:
        """Yield the job of every message that was taken out and not dealt with."""
        for work in self.works():
            key = taken_key(work.token)
            for start in range(0, self.left(work), STEP):
                for text in self.client.lrange(key, start, start + STEP - 1):
                    yield job_of(_bytes(text))


def works_key() -> str:
    """Return the key of the hash of all works."""
    return redis.key("queues", "works")


def taken_key(token: str) -> str:
    """Return the key of the list of what was taken out for one work."""
    return redis.key("queues", "taken", token)


def moved_key(token: str) -> str:
    """Return the key of the list of jobs whose messages were moved and that do not show it yet."""
    return redis.key("queues", "moved", token)


def tracked(texts: Iterable[bytes]) -> list[str]:
    """Return the jobs of the messages that are recorded."""
    return [job for job in map(_tracked_job, texts) if job]


def _tracked_job(text: bytes) -> str:
    # Found in the text where it says it once: to read a million messages as JSON takes half a minute.
    ids = _ID.findall(text)
    if len(ids) == 1 and text.count(b'"tracked": ') == 1:
        return ids[0].decode() if b'"tracked": true' in text else ""
    headers = headers_of(text)
    return str(headers["id"]) if headers.get("id") and headers.get("tracked") else ""


def turn_key(token: str) -> str:
    """Return the key that says that a process works on it."""
    return redis.key("queues", "turn", token)


def new_work(kind: str, queue: str, *, by: str, reason: str, target: str = "") -> Work:
    """Return a work that is not known yet."""
    return Work(uuid.uuid4().hex, kind, queue, target, by, reason, time.time())


def headers_of(text: bytes) -> dict[str, Any]:
    """Return the headers of a message, empty for what is none."""
    try:
        headers = json.loads(text).get("headers")
    except (ValueError, AttributeError, RecursionError):
        return {}
    return headers if isinstance(headers, dict) else {}


def job_of(text: bytes) -> str:
    """Return the job of a message, empty where it names none."""
    return str(headers_of(text).get("id") or "")


def _rewritten(message: dict[str, Any], queue: str, text: bytes) -> bytes | str:
    """Return the message as if it had been sent to that queue."""
    properties = message.get("properties")
    if not isinstance(properties, dict):
        return text
    info = properties.get("delivery_info")
    properties["delivery_info"] = {**(info if isinstance(info, dict) else {}), "exchange": "", "routing_key": queue}
    return dumps(message)


def _bytes(text: bytes | str) -> bytes:
    return text if isinstance(text, bytes) else text.encode()

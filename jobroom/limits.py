"""Counts how often something was done in a span of time, in Redis, so for all processes together and without the database.

A limit of `10/15m` gives ten at once and then one every 90 seconds (the generic cell rate algorithm, as ATM networks
use it: https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm). One key holds one number, and goes by itself.
"""

import dataclasses
import hashlib
import logging
import math
import re

from jobroom import redis
from jobroom.exceptions import TaskError
from jobroom.lua_scripts import source

logger = logging.getLogger(__name__)

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_RATE = re.compile(r"(\d{1,9})/(\d{0,6})([smhd])")
_TAKE = source("jobroom", "take_turn")


class TooMany(TaskError):
    """This was done too often; the message says what helps, `retry_after` in how many seconds it can be done again."""

    def __init__(self, message: str, retry_after: float = 60.0) -> None:
        super().__init__(message)
        self.retry_after = max(1, math.ceil(retry_after))


@dataclasses.dataclass(frozen=True, slots=True)
class Rate:
    """So many times within so many seconds."""

    count: int
    seconds: float

    @classmethod
    def parse(cls, text: str) -> "Rate | None":
        """Return the rate that `10/m`, `10/15m` or `100/h` means; None for "" and "0", which set no limit.

        Raises ValueError, which says what a rate looks like.
        """
        if text in {"", "0"}:
            return None
        found = _RATE.fullmatch(text.replace(" ", ""))
        if found is None or int(found[1]) < 1:
            raise ValueError(f"{text!r} is no rate: write 10/m, 10/15m or 100/h, or 0 for no limit.")
        return cls(int(found[1]), int(found[2] or 1) * _UNITS[found[3]])


def key(kind: str, *parts: object) -> str:
    """Return the Redis key of one limit: what people typed is in it as a digest alone."""
    digest = hashlib.blake2b("\0".join(map(str, parts)).encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
    return redis.key("limit", kind, digest)


def take(name: str, rate: Rate | None) -> float:
    """Take one of what `rate` allows; return 0, or the seconds until there is one. Without Redis nothing is limited."""
    return _ask(name, rate, "1")


def look(name: str, rate: Rate | None) -> float:
    """Return what `take` would, and take nothing."""
    return _ask(name, rate, "0")


def _ask(name: str, rate: Rate | None, taken: str) -> float:
    if rate is None:
        return 0.0
    try:
        answer = redis.script(_TAKE)([name], [rate.seconds / rate.count, rate.seconds, taken], client=redis.client())
    except (redis.Error, OSError) as error:
        logger.warning("A limit is not looked at, Redis is away: %s", error)
        return 0.0
    return float(answer)


def forget(name: str) -> None:
    """Give back all that was taken."""
    try:
        redis.client().delete(name)
    except (redis.Error, OSError) as error:
        logger.warning("A limit is not lifted, Redis is away: %s", error)


def in_words(seconds: float) -> str:
    """Return a pause as people say it."""
    if seconds < 90:
        return f"{max(1, math.ceil(seconds))} seconds"
    if seconds < 5400:
        return f"{math.ceil(seconds / 60)} minutes"
    return f"{math.ceil(seconds / 3600)} hours"

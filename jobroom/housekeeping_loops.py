"""Loops of housekeeping: what is done every few seconds; and over many rows one that raises is logged, the others are processed."""

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from django.db import InterfaceError, OperationalError
from kombu.exceptions import OperationalError as BrokerError

from jobroom import redis, safe_text, truncation
from jobroom.exceptions import RedisUnavailable

logger = logging.getLogger(__name__)

# What no row is to blame for: a server is away, and the whole round waits for it.
AWAY = (
    *redis.LostError,
    RedisUnavailable,
    BrokerError,
    OperationalError,
    InterfaceError,
    ConnectionError,
    TimeoutError,
)
# Seconds for which a fault is shown after its last time.
SHOWN = 24 * 3600
_LONGEST = 300


class Every:
    """Says whether a chore is due that is done every few seconds, in one process."""

    def __init__(self, pause: float, first: float = 0.0) -> None:
        """Take the seconds between two times, and those before the first one."""
        self.pause = pause
        self.at = time.monotonic() + first

    @property
    def is_due(self) -> bool:
        """Whether the pause is over."""
        return time.monotonic() >= self.at

    def take(self) -> bool:
        """Return whether it is due; if so, the next pause begins."""
        if not self.is_due:
            return False
        self.at = time.monotonic() + self.pause
        return True


def _key() -> str:
    return redis.key("rounds", "faults")


@contextmanager
def isolated(chore: str, row: object) -> Iterator[None]:
    """Keep what goes wrong with one row from the others: it is logged, counted, and shown by `/readyz`."""
    try:
        yield
    except AWAY:
        raise
    except Exception as error:  # the boundary: see above
        logger.exception("%s: %s could not be processed, the others go on", chore, safe_text.text_of(row))
        note(chore, row, error)


def note(chore: str, row: object, error: BaseException) -> None:
    """Count a fault of a chore."""
    said = truncation.shorten(f"{safe_text.error_type(error)}: {safe_text.error_text(error)}", _LONGEST)
    with suppress(redis.Error, OSError):
        client = redis.client()
        before: Any = client.hget(_key(), chore)
        count = (json.loads(before)["count"] if before else 0) + 1
        fault = {
            "count": count,
            "row": truncation.shorten(safe_text.text_of(row), _LONGEST),
            "error": said,
            "at": time.time(),
        }
        client.hset(_key(), chore, json.dumps(fault))
        client.expire(_key(), SHOWN)


def faults() -> dict[str, dict[str, Any]]:
    """Return for each chore how often it left a row alone (`count`), and which one last: `row`, `error`, `at`."""
    found: Any = redis.client().hgetall(_key())
    return {chore: json.loads(text) for chore, text in found.items()}

"""The project's door to Redis: one client a process, all keys under one prefix."""

import functools
import os
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import redis
from django.db import connections
from redis.backoff import ExponentialBackoff
from redis.commands.core import Script
from redis.retry import Retry

from jobroom.conf import settings

Client = redis.Redis
Error = redis.RedisError
ResponseError = redis.ResponseError
NoScriptError = redis.exceptions.NoScriptError
WatchError = redis.WatchError
LostError = (redis.ConnectionError, redis.TimeoutError)


T = TypeVar("T")

# Seconds that a command waits for its answer; and for which all others fail at once after one that waited in vain. A page
# asks Redis a dozen times: it must not wait for each of them while the server stands still.
SOCKET_TIMEOUT = 10.0
SILENCE = 5.0
# Seconds between the tries of a command that is refused: about three in all, as a restart of the server takes.
SHORTEST_PAUSE = 0.05
LONGEST_PAUSE = 0.8
TRIES = 7
# Seconds after which a command is not tried again in a transaction: all others wait for SQLite meanwhile, and give up.
HELD = 0.2

_silent_until = 0.0


def is_silent() -> bool:
    """Return whether this process waited in vain a moment ago for a server that takes connections and answers nothing."""
    return time.monotonic() < _silent_until


def check_silence() -> None:
    """Raise a redis error while the server is known to stand still."""
    if is_silent():
        raise redis.TimeoutError("Redis stands still: it takes connections and does not answer.")


def note_silence() -> None:
    """Let the commands of this process fail at once for a moment: the server stands still."""
    global _silent_until  # noqa: PLW0603 — one a process
    _silent_until = time.monotonic() + SILENCE


class _Patience(Retry):
    """Tries again what was refused or cut off, as while a server restarts, and not what was waited for in vain."""

    def call_with_retry(
        self,
        do: Callable[[], T],
        fail: Any,
        is_retryable: Callable[[Exception], bool] | None = None,
        with_failure_count: bool = False,
    ) -> T:
        """Return what `do` returns; raise its error where another try would not do."""
        check_silence()
        began = time.monotonic()

        def is_worth_it(error: Exception) -> bool:
            if isinstance(error, redis.TimeoutError | TimeoutError) and time.monotonic() - began > SOCKET_TIMEOUT / 2:
                note_silence()
                return False
            if time.monotonic() - began > HELD and any(
                database.in_atomic_block for database in connections.all(initialized_only=True)
            ):
                return False
            return is_retryable is None or bool(is_retryable(error))

        return super().call_with_retry(do, fail, is_worth_it, with_failure_count)


class _Pauses(ExponentialBackoff):
    """Grow from try to try, up to what is the longest pause now."""

    def compute(self, failures: int) -> float:
        """Return the seconds to wait after so many failures."""
        return min(LONGEST_PAUSE, super().compute(failures))


def connect(*, url: str = "", **options: Any) -> Client:
    """Return a new client of `url`, or of `REDIS_URL`; it rides out a restart of the server of about three seconds."""
    retry = _Patience(_Pauses(cap=LONGEST_PAUSE, base=SHORTEST_PAUSE), TRIES)
    defaults: dict[str, Any] = {"decode_responses": True, "retry": retry, "socket_timeout": SOCKET_TIMEOUT}
    return redis.Redis.from_url(url or settings.REDIS_URL, **(defaults | options))


@functools.lru_cache(maxsize=4)
def _client(url: str) -> Client:
    return connect()


def client() -> Client:
    """Return this process's client, made on first use; its pool survives a fork."""
    return _client(settings.REDIS_URL)


@functools.lru_cache(maxsize=64)
def script(source: str) -> Script:
    """Return the Lua script `source`; call it with `keys`, `args` and, for another connection, `client=`."""
    return client().register_script(source)


@functools.lru_cache(maxsize=4)
def _line(url: str) -> Client:
    return connect(single_connection_client=True)


# Two processes must not talk on one connection, and a connection outside a pool does not notice a fork.
os.register_at_fork(after_in_child=_line.cache_clear)


def line() -> Client:
    """Return a client with one connection of this process's own: a pool's bookkeeping is a fifth of a call's cost."""
    return _line(settings.REDIS_URL)


def evaluate(script: Script, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
    """Run a script over `line` and return its answer."""
    client = line()
    try:
        return _ask(client, "EVALSHA", script.sha, len(keys), *keys, *arguments)
    except NoScriptError:
        return script(keys, arguments, client=client)
    except BaseException:
        # A time limit may strike between question and answer; the next caller must not read that answer.
        _line.cache_clear()
        client.close()
        raise


def _ask(client: Client, *command: Any) -> Any:
    """Send the command and return its answer; what the client does around that is a third of a call's cost."""
    check_silence()
    connection: Any = client.connection
    if connection is not None:
        with client.single_connection_lock:
            try:
                connection.send_command(*command)
                return connection.read_response()
            except redis.TimeoutError:
                connection.disconnect()
                note_silence()
                raise
            except (*LostError, OSError):
                connection.disconnect()
    return client.execute_command(*command)  # type: ignore[no-untyped-call] # connects, and tries again


def key(*parts: str) -> str:
    """Return the Redis key of `parts`: `key("lock", "x")` is `image:lock:x`."""
    return settings.REDIS_PREFIX + ":".join(parts)


def now(connection: Client | None = None) -> float:
    """Return the server's clock in seconds since 1970: the one clock that all machines share."""
    seconds, microseconds = (connection or client()).time()
    return float(seconds) + float(microseconds) / 1e6

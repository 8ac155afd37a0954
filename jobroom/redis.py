"""The project's door to Redis: one client a process, all keys under one prefix."""

import functools
import os
from collections.abc import Sequence
from typing import Any

import redis
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


def connect(**options: Any) -> Client:
    """Return a new client of `REDIS_URL`; it rides out a restart of the server of about three seconds."""
    retry = Retry(ExponentialBackoff(cap=0.8, base=0.05), 7)
    defaults: dict[str, Any] = {"decode_responses": True, "retry": retry, "socket_timeout": 10}
    return redis.Redis.from_url(settings.REDIS_URL, **(defaults | options))


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
    connection: Any = client.connection
    if connection is not None:
        with client.single_connection_lock:
            try:
                connection.send_command(*command)
                return connection.read_response()
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

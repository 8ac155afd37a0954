"""The project's door to Redis: one client a process, all keys under one prefix."""

import functools
from typing import Any

import redis
from django.conf import settings as django_settings
from redis.backoff import ExponentialBackoff
from redis.commands.core import Script
from redis.retry import Retry

from common.conf import settings

Client = redis.Redis
Error = redis.RedisError
ResponseError = redis.ResponseError
NoScriptError = redis.exceptions.NoScriptError


def connect(**options: Any) -> Client:
    """Return a new client of `REDIS_URL`; it rides out a restart of the server of about three seconds."""
    retry = Retry(ExponentialBackoff(cap=0.8, base=0.05), 7)
    defaults: dict[str, Any] = {"decode_responses": True, "retry": retry, "socket_timeout": 10}
    return redis.Redis.from_url(django_settings.REDIS_URL, **(defaults | options))


@functools.lru_cache(maxsize=4)
def _client(url: str) -> Client:
    return connect()


def client() -> Client:
    """Return this process's client, made on first use; its pool survives a fork."""
    return _client(django_settings.REDIS_URL)


@functools.lru_cache(maxsize=64)
def script(source: str) -> Script:
    """Return the Lua script `source`; call it with `keys`, `args` and, for another connection, `client=`."""
    return client().register_script(source)


def key(*parts: str) -> str:
    """Return the Redis key of `parts`: `key("lock", "x")` is `image:lock:x`."""
    return settings.REDIS_PREFIX + ":".join(parts)


def now(connection: Client | None = None) -> float:
    """Return the server's clock in seconds since 1970: the one clock that all machines share."""
    seconds, microseconds = (connection or client()).time()
    return float(seconds) + float(microseconds) / 1e6

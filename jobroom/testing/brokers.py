"""Switches this process to another broker for a while, for tests with other servers."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import current_app
from kombu import pools


def fresh_pools() -> None:
    """Close all connections of this process to brokers; new ones go to the broker that is set now."""
    app: Any = current_app
    pools.reset()
    app._pool = app.amqp._producer_pool = None


@contextmanager
def broker(url: str) -> Iterator[None]:
    """Send this process's messages to the broker at `url`; afterwards to the one before, over new connections.

    Celery reads Django's CELERY_BROKER_URL when it is asked: leave that setting alone, or "the one before" is the new one.
    """
    app: Any = current_app
    # Not `app.conf.broker_url`: that is what the environment says now, where a test has set it for its processes.
    before = app.conf.first("broker_url")
    app.conf.broker_url = url
    fresh_pools()
    try:
        yield
    finally:
        app.conf.broker_url = before
        fresh_pools()

"""A connection of Celery's pool, open, and with one kind of error where the broker is lost while it is used."""

import contextlib
from collections.abc import Iterator
from typing import Any

from amqp.exceptions import ConnectionError as ConnectionLost
from celery import current_app
from kombu.exceptions import OperationalError

# Seconds that is waited for a connection of the pool.
PATIENCE = 10.0


@contextlib.contextmanager
def pooled() -> Iterator[Any]:
    """Yield an open connection of kombu's; raise kombu's OperationalError where there is none, or where it is lost.

    Kombu closes a connection while whose use something was raised, and puts it back into the pool all the same: the next one to
    ask it for a channel would ask None.
    """
    pool: Any = current_app.pool
    with pool.acquire(block=True, timeout=PATIENCE) as connection:
        connection.ensure_connection(max_retries=0)
        try:
            yield connection
        except ConnectionLost as error:  # of py-amqp, which is none of kombu's errors
            raise OperationalError(f"{type(error).__name__}: {error}") from error

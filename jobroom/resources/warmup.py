"""Prepares a worker for its first job: the schemas of arguments, and connections to Redis.

A model that is loaded beforehand is of little use if the first job then spends the time of ten on everything else.
"""

import logging
from collections.abc import Collection
from typing import Any

from jobroom import events, redis
from jobroom.arguments import schema_of
from jobroom.arguments.redaction import hide_arguments

logger = logging.getLogger(__name__)


def warm_schemas(app: Any, names: Collection[str]) -> None:
    """Make the argument schemas of the tasks that use one of the resources `names`; forked processes inherit them."""
    for task in app.tasks.values():
        if set(getattr(task, "resources", ())) & set(names):
            schema_of(task)
            hide_arguments(task.run, [], {})


def warm_connections(app: Any) -> None:
    """Connect this process to Redis, for its events and its results; a server that is away is only logged."""
    try:
        events.connect()
        redis.client().ping()
        backend = app.backend
        if hasattr(backend, "client"):
            backend.client.ping()
    except (redis.Error, OSError) as error:
        logger.warning("Redis does not answer before the first job: %s", error)

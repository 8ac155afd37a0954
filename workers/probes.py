"""Is everything there that the control room needs? Each part answers for itself, and never with a traceback."""

import dataclasses
import logging
from collections.abc import Callable
from typing import Any

from django.conf import settings as django_settings
from django.db import DatabaseError, connection
from django.db.migrations.exceptions import MigrationSchemaMissing
from django.db.migrations.executor import MigrationExecutor

from common import beat, events, heartbeat, redis, stream
from common.exceptions import RedisUnavailable
from workers.conf import settings
from workers.rescue import living_and_gone

logger = logging.getLogger(__name__)

# Seconds that a probe waits for Redis.
PATIENCE = 0.5

# Migrations once seen as applied stay applied, and looking is slow.
_migrated: set[str] = set()


@dataclasses.dataclass(frozen=True)
class Part:
    """What a probe found: whether the part is in order, and a sentence without secrets."""

    ok: bool
    detail: str


def ready() -> dict[str, Part]:
    """Ask every part; return the answers by name."""
    parts = {"database": _ask(_database), "migrations": _ask(_migrations), "redis": _ask(_redis)}
    if not parts["redis"].ok:
        unknown = Part(ok=False, detail="Unknown while Redis is away.")
        return {**parts, "workers": unknown, "beat": unknown, "recorder": unknown}
    return {**parts, "workers": _ask(_workers), "beat": _ask(_beat), "recorder": _ask(_recorder)}


def _ask(probe: Callable[[], Part]) -> Part:
    try:
        return probe()
    except (DatabaseError, MigrationSchemaMissing, redis.Error, RedisUnavailable, OSError) as error:
        # The text of such an error may hold an address with its password: it goes to the log alone.
        logger.warning("Probe %s: %s", probe.__name__.strip("_"), error)
    except Exception as error:  # the boundary: whoever probes gets an answer, whatever breaks
        logger.exception("Probe %s broke", probe.__name__.strip("_"))
        return Part(ok=False, detail=f"Broken ({type(error).__name__}); the log says more.")
    return Part(ok=False, detail="No answer; the log says more.")


def _database() -> Part:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return Part(ok=True, detail=f"{connection.vendor} answers.")


def _migrations() -> Part:
    name = str(connection.settings_dict["NAME"])
    if name not in _migrated:
        executor = MigrationExecutor(connection)
        missing = len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
        if missing:
            return Part(ok=False, detail=f"{missing} not applied: run `manage.py migrate`.")
        _migrated.add(name)
    return Part(ok=True, detail="All applied.")


def _redis() -> Part:
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    options: dict[str, Any] = {"socket_timeout": PATIENCE, "socket_connect_timeout": PATIENCE}
    with redis.connect(retry=Retry(NoBackoff(), 0), **options) as client:
        client.ping()
    return Part(ok=True, detail="Answers.")


def _workers() -> Part:
    living, _ = living_and_gone(heartbeat.workers())
    served = {queue for worker in living for queue in worker.queues}
    missing = [queue for queue in django_settings.QUEUES if queue not in served]
    if missing:
        return Part(ok=False, detail=f"No worker serves {', '.join(missing)}.")
    waits = sorted({f"{queue} for {', '.join(names)}" for worker in living for queue, names in worker.waiting.items()})
    held_up = f" Waiting for resources: {'; '.join(waits)}." if waits else ""
    return Part(ok=True, detail=f"{len(living)} workers serve {', '.join(sorted(served))}.{held_up}")


def _beat() -> Part:
    said = beat.last_beat_tick()
    if said is None:
        return Part(ok=False, detail="Has never ticked: start `celery -A image beat`.")
    silent = max(0.0, redis.now() - said)
    return Part(ok=silent < settings.SILENT_AFTER, detail=f"Ticked {silent:.0f} s ago.")


def _recorder() -> Part:
    try:
        readers: Any = redis.client().xinfo_consumers(events.stream(), stream.GROUP)
    except redis.ResponseError:
        readers = []  # no stream or no group: nobody has ever read
    if not readers:
        return Part(ok=False, detail="No recorder: start `manage.py record`.")
    silent = min(reader["idle"] for reader in readers) / 1000
    lag = stream.lag()
    detail = f"Read {silent:.0f} s ago, {lag.entries} events behind by {lag.seconds:.0f} s."
    return Part(ok=silent < settings.SILENT_AFTER, detail=detail)

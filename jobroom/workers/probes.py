"""The checks of `/healthz` and `/readyz`: each part answers for itself, and never with a traceback."""

import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.db import DatabaseError, connection
from django.db.migrations.exceptions import MigrationSchemaMissing
from django.db.migrations.executor import MigrationExecutor
from redis.backoff import NoBackoff
from redis.retry import Retry

from jobroom import conf, events, exhaustion, file_permissions, health, housekeeping_loops, redis
from jobroom.celery import beat
from jobroom.events import consumer, heartbeat
from jobroom.exceptions import RedisUnavailable
from jobroom.health import Part
from jobroom.runner import status_file
from jobroom.workers.conf import settings
from jobroom.workers.overview import unserved
from jobroom.workers.rescue import living_and_gone

logger = logging.getLogger(__name__)

# Seconds that a probe waits for Redis.
PATIENCE = 0.5

# Migrations once seen as applied stay applied, and looking is slow.
_migrated: set[str] = set()


def ready() -> dict[str, Part]:
    """Ask every part; return the answers by name."""
    parts = {"database": _ask(_database), "migrations": _ask(_migrations), "redis": _ask(_redis)}
    parts["disk"] = _ask(_disk)
    folder = file_permissions.folder()
    if folder is not None and status_file.path_in(folder).exists():
        parts["parts"] = _ask(_parts)
    parts |= {name: _ask(probe) for name, probe in health.probes.items()}
    if not parts["redis"].ok:
        unknown = Part(ok=False, detail="Unknown while Redis is away.")
        return {**parts, "workers": unknown, "beat": unknown, "recorder": unknown}
    parts |= {"workers": _ask(_workers), "beat": _ask(_beat), "recorder": _ask(_recorder), "rounds": _ask(_rounds)}
    return parts


def _ask(probe: Callable[[], Part]) -> Part:
    try:
        return probe()
    except (DatabaseError, MigrationSchemaMissing, redis.Error, RedisUnavailable, OSError) as error:
        if sentence := exhaustion.sentence(error):
            return Part(ok=False, detail=sentence)
        # The text of such an error may hold an address with its password: it goes to the log alone.
        logger.warning("Probe %s: %s", probe.__name__.strip("_"), error)
    except Exception as error:  # the boundary: the probe gets an answer, whatever breaks
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


def _rounds() -> Part:
    """Report rows that housekeeping could not process: nothing waits for them, so the site is ready all the same."""
    found = housekeeping_loops.faults()
    if not found:
        return Part(ok=True, detail="Housekeeping met no error in the last day.")
    sentences = [f"{chore} could not process {fault['count']}" for chore, fault in found.items()]
    rows = [f"{chore}: last {fault['row']} ({fault['error']})" for chore, fault in found.items()]
    detail = f"{'; '.join(sentences)}. The log says more."
    return Part(ok=True, warning=True, detail=detail, rows="; ".join(rows))


def _disk() -> Part:
    """Warn while there is time: a database and a Redis without room take nothing more."""
    space = shutil.disk_usage(file_permissions.folder() or Path.cwd())
    detail = f"{space.free / 1e9:.1f} GB of {space.total / 1e9:.0f} GB are free where the data folder lies."
    low = space.free < settings.DISK_LOW * space.total
    return Part(ok=True, warning=low, detail=detail, action="Free space, or enlarge the disk." if low else "")


def _parts() -> Part:
    folder = file_permissions.folder()
    failing = status_file.failing(status_file.path_in(folder)) if folder is not None else {}
    if failing:
        return Part(ok=False, detail=" ".join(f"{name} {sentence}." for name, sentence in failing.items()))
    return Part(ok=True, detail="All stay up.")


def _redis() -> Part:
    options: dict[str, Any] = {"socket_timeout": PATIENCE, "socket_connect_timeout": PATIENCE}
    with redis.connect(retry=Retry(NoBackoff(), 0), **options) as client:
        client.ping()
        # A server without room answers all the same, and takes nothing.
        try:
            client.set(redis.key("probe"), 1, px=1000)
        except redis.ResponseError as error:
            if sentence := exhaustion.sentence(error):
                return Part(ok=False, detail=sentence)
            raise
    return Part(ok=True, detail="Answers.")


def _workers() -> Part:
    found = heartbeat.workers()
    living, _ = living_and_gone(found)
    served = {queue for worker in living if not worker.stuck for queue in worker.queues}
    stuck = sorted(worker.name for worker in living if worker.stuck)
    # As long as the last of them has been silent.
    silent = {worker.name: worker.silent for worker in found if worker not in living}
    since = time.time() - max(silent.values()) if silent else None
    missing = [queue for queue in conf.settings.QUEUES if queue not in served]
    if missing:
        why = f" Its loop stands still: {', '.join(stuck)}." if stuck else ""
        return Part(
            ok=False, detail=f"No worker serves {', '.join(missing)}.{why}", since=since, action=_start(missing)
        )
    if left := unserved(living):
        return Part(ok=False, detail=" ".join(left))
    waits = sorted({f"{queue} for {', '.join(names)}" for worker in living for queue, names in worker.waiting.items()})
    held_up = f" Waiting for resources: {'; '.join(waits)}." if waits else ""
    lost = f"Silent: {', '.join(sorted(silent))}. " if silent else ""
    still = f"Receives no jobs, as its loop stands still: {', '.join(stuck)}. " if stuck else ""
    detail = f"{lost}{still}{len(living)} workers serve {', '.join(sorted(served))}.{held_up}"
    return Part(ok=True, warning=bool(silent or stuck), detail=detail, since=since)


def _start(queues: list[str]) -> str:
    command = health.celery_command(f"worker -Q {','.join(queues)}")
    return f"Start a worker: `manage.py jobroom up`, or `{command}`."


def _beat() -> Part:
    said = beat.last_beat_tick()
    if said is None:
        return Part(ok=False, detail=f"Has never ticked: start `{health.celery_command('beat')}`.")
    silent = max(0.0, redis.now() - said)
    return Part(ok=silent < settings.SILENT_AFTER, detail=f"Ticked {silent:.0f} s ago.", since=time.time() - silent)


def _recorder() -> Part:
    try:
        readers: Any = redis.client().xinfo_consumers(events.stream(), consumer.GROUP)
    except redis.ResponseError:
        readers = []  # no stream or no group: no one has ever read
    if not readers:
        return Part(ok=False, detail="No recorder: start `manage.py jobroom record`.")
    silent = min(reader["idle"] for reader in readers) / 1000
    lag = consumer.lag()
    detail = f"Read {silent:.0f} s ago, {lag.entries} events behind by {lag.seconds:.0f} s."
    ok = silent < settings.SILENT_AFTER
    late = lag.seconds > settings.BEHIND_AFTER
    return Part(ok=ok, warning=late, detail=detail, since=time.time() - max(lag.seconds, 0 if ok else silent))

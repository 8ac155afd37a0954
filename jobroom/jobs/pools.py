"""Who serves the queues, by what workers say of themselves: processes, what they run, and what keeps them from taking jobs."""

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, cast

from django.core.cache import cache

from jobroom import redis
from jobroom.celery import pauses
from jobroom.celery.pauses import Paused
from jobroom.events import heartbeat
from jobroom.exceptions import RedisUnavailable
from jobroom.jobs.models import Job

# Seconds for which places, workers and running jobs are remembered.
KEPT = 2
# Seconds by which the clocks of two machines may differ.
CLOCKS_APART = 1.0


class Busy(NamedTuple):
    """A running job, which keeps a process from the queue."""

    task: str
    spent: float  # seconds since it began
    fraction: float | None  # how much of it is done, by its own progress; None when it tells none
    job: str = ""
    limit: float | None = None  # seconds until its time limit ends it; None without one


@dataclasses.dataclass(frozen=True)
class Pools:
    """Who serves the queues."""

    processes: dict[str, int]  # of live workers that take jobs, by queue
    missing: dict[str, tuple[str, ...]]  # of queues that no worker takes jobs from, the resources that they wait for
    stuck: dict[str, tuple[str, ...]]  # of queues that no worker takes jobs from, the workers whose loop stands still
    quiet: dict[
        str, tuple[str, ...]
    ]  # of queues that no worker takes jobs from, the workers that were told to take none
    busy: dict[str, list[Busy]]  # what processes run, by each queue that their workers serve
    limited: dict[str, str]  # job that a worker holds back → the rate limit
    paused: dict[tuple[str, str], Paused]  # by kind and name
    telling: frozenset[str]  # queues whose workers say whether their loops turn


def pools() -> Pools | None:
    """Return who serves each queue; None when Redis does not answer."""
    try:
        return cast("Pools", cache.get_or_set("jobroom.jobs.pools", _read_pools, KEPT))
    except (redis.Error, RedisUnavailable, OSError):
        return None


def _read_pools() -> Pools:
    processes: dict[str, int] = defaultdict(int)
    missing: dict[str, set[str]] = defaultdict(set)
    stuck: dict[str, set[str]] = defaultdict(set)
    quiet: dict[str, set[str]] = defaultdict(set)
    busy: dict[str, list[Busy]] = defaultdict(list)
    living = [worker for worker in heartbeat.workers() if worker.alive]
    ended = _ended_since(living)
    for worker in living:
        runs = [_run(worker, row) for row in worker.running if row["job"] not in ended]
        for queue in worker.queues:
            if queue in worker.paused:
                continue
            if worker.quiet:
                quiet[queue].add(worker.name)
                continue
            if queue in worker.waiting:
                missing[queue].update(worker.waiting[queue])
            elif worker.stuck:
                stuck[queue].add(worker.name)
            else:
                processes[queue] += max(1, worker.concurrency)
                busy[queue] += runs
    limits = ((task, said) for worker in living for task, said in worker.limited.items())
    return Pools(
        dict(processes),
        _unserved(missing, processes),
        _unserved(stuck, processes),
        _unserved(quiet, processes),
        dict(busy),
        {job: f"{said['rate']} of {task}" for task, said in limits for job in said["jobs"]},
        pauses.current(),
        frozenset(queue for worker in living if worker.loop is not None for queue in worker.queues),
    )


def _ended_since(workers: Iterable[heartbeat.Worker]) -> frozenset[str]:
    """Return the jobs that the last heartbeats name as running and that have ended since, by the history."""
    seen = {row["job"]: worker.seen for worker in workers for row in worker.running}
    if not seen:
        return frozenset()
    rows = Job.objects.filter(pk__in=seen, finished_at__isnull=False).values_list("pk", "finished_at")
    # One that ended before a heartbeat still named it does keep its process.
    return frozenset(pk for pk, at in rows if at and at.timestamp() > seen[pk] - CLOCKS_APART)


def _unserved(names: Mapping[str, set[str]], processes: Mapping[str, int]) -> dict[str, tuple[str, ...]]:
    return {queue: tuple(sorted(found)) for queue, found in names.items() if queue not in processes}


def _run(worker: heartbeat.Worker, row: Mapping[str, Any]) -> Busy:
    now = worker.clock + worker.silent  # on its clock
    spent = max(0.0, now - row["since"]) if row["since"] else 0.0
    limit = max(0.0, row["until"] - now) if row["until"] else None
    return Busy(row["task"], spent, None, row["job"], limit)

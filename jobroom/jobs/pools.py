"""Which workers serve each queue, from their heartbeats: processes, what they run, and what keeps them from taking jobs."""

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeVar, cast

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
# A worker that has been silent for so many seconds is gone for good, and named no more.
LONG_GONE = 1800.0


# What stands for a worker or a resource: its name, or more of it.
Name = TypeVar("Name", str, "Silent")


class Busy(NamedTuple):
    """A running job, which keeps a process from the queue."""

    task: str
    spent: float  # seconds since it began
    fraction: float | None  # how much of it is done, by its own progress; None when it reports none
    job: str = ""
    limit: float | None = None  # seconds until its time limit ends it; None without one


class Silent(NamedTuple):
    """A worker whose heartbeat has stopped."""

    name: str
    instance: str
    since: float  # its last heartbeat, in seconds since 1970


@dataclasses.dataclass(frozen=True)
class Pools:
    """Who serves the queues."""

    processes: dict[str, int]  # of live workers that take jobs, by queue
    missing: dict[str, tuple[str, ...]]  # of queues that no worker takes jobs from, the resources that they wait for
    stuck: dict[str, tuple[str, ...]]  # of queues that no worker takes jobs from, the workers whose loop stands still
    quiet: dict[
        str, tuple[str, ...]
    ]  # of queues that no worker takes jobs from, the workers that an operator has made quiet
    busy: dict[str, list[Busy]]  # what processes run, by each queue that their workers serve
    limited: dict[str, str]  # job that a worker holds back → the rate limit
    paused: dict[tuple[str, str], Paused]  # by kind and name
    reporting: frozenset[str]  # queues whose workers say whether their loops turn
    silent: dict[str, tuple[Silent, ...]] = dataclasses.field(
        default_factory=dict
    )  # of queues that no worker takes jobs from, the workers whose heartbeat has stopped
    instances: dict[str, str] = dataclasses.field(default_factory=dict)  # name of each living worker → its instance
    kept: dict[str, Silent] = dataclasses.field(default_factory=dict)  # job → the silent worker that has its message


def pools(*, fresh: bool = False) -> Pools | None:
    """Return who serves each queue; None when Redis does not answer. What is remembered may be KEPT seconds old, unless `fresh`."""
    try:
        if fresh:
            cache.delete("jobroom.jobs.pools")
        return cast("Pools", cache.get_or_set("jobroom.jobs.pools", _read_pools, KEPT))
    except (redis.Error, RedisUnavailable, OSError):
        return None


def _read_pools() -> Pools:
    processes: dict[str, int] = defaultdict(int)
    missing: dict[str, set[str]] = defaultdict(set)
    stuck: dict[str, set[str]] = defaultdict(set)
    quiet: dict[str, set[str]] = defaultdict(set)
    busy: dict[str, list[Busy]] = defaultdict(list)
    found = heartbeat.workers()
    living = [worker for worker in found if worker.alive]
    gone = _silent(found, living)
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
        _unserved(_by_queue(gone), processes),
        {worker.name: worker.instance for worker in living},
        {job: said for worker, said in gone for job in worker.held},
    )


def _silent(
    found: Iterable[heartbeat.Worker], living: Iterable[heartbeat.Worker]
) -> list[tuple[heartbeat.Worker, Silent]]:
    """Return the workers whose heartbeat has stopped; not those that one of their name has replaced."""
    names = {worker.name for worker in living}
    return [
        (worker, Silent(worker.name, worker.instance, worker.seen))
        for worker in found
        if not worker.alive and worker.name not in names and worker.silent < LONG_GONE
    ]


def _by_queue(gone: Iterable[tuple[heartbeat.Worker, Silent]]) -> dict[str, set[Silent]]:
    found: dict[str, set[Silent]] = defaultdict(set)
    for worker, said in gone:
        for queue in worker.queues:
            found[queue].add(said)
    return found


def _ended_since(workers: Iterable[heartbeat.Worker]) -> frozenset[str]:
    """Return the jobs that the last heartbeats name as running and that have ended since, by the history."""
    seen = {row["job"]: worker.seen for worker in workers for row in worker.running}
    if not seen:
        return frozenset()
    rows = Job.objects.filter(pk__in=seen, finished_at__isnull=False).values_list("pk", "finished_at")
    # One that ended before a heartbeat still named it does keep its process.
    return frozenset(pk for pk, at in rows if at and at.timestamp() > seen[pk] - CLOCKS_APART)


def _unserved(names: Mapping[str, set[Name]], processes: Mapping[str, int]) -> dict[str, tuple[Name, ...]]:
    return {queue: tuple(sorted(found)) for queue, found in names.items() if queue not in processes}


def _run(worker: heartbeat.Worker, row: Mapping[str, Any]) -> Busy:
    now = worker.clock + worker.silent  # on its clock
    spent = max(0.0, now - row["since"]) if row["since"] else 0.0
    limit = max(0.0, row["until"] - now) if row["until"] else None
    return Busy(row["task"], spent, None, row["job"], limit)

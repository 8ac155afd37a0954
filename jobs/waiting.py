"""What a waiting job can expect: how many are before it, who serves its queue, when it should start."""

import dataclasses
import hashlib
from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean
from typing import Any, cast

from django.core.cache import cache
from django.db import connection

from common import heartbeat, redis
from common.exceptions import RedisUnavailable
from jobs.models import Job, State

# Nothing is counted beyond this.
MOST_AHEAD = 1000
# Run times of so many of the latest successful jobs, of all queues, tell how long one takes.
LOOKED_AT = 500
# Seconds for which the workers and the run times are remembered.
KEPT = 2


@dataclasses.dataclass(frozen=True)
class Waiting:
    """The place of one job in its queue."""

    queue: str
    ahead: int  # jobs of the queue that were queued before it, at most MOST_AHEAD
    processes: int | None  # pool processes that serve the queue; None when nobody knows
    typical: float | None  # mean run time of the queue's latest jobs in seconds
    missing: tuple[str, ...] = ()  # resources without which no worker takes jobs from the queue now

    @property
    def more(self) -> bool:
        """Whether there are more ahead than were counted."""
        return self.ahead >= MOST_AHEAD

    @property
    def unserved(self) -> bool:
        """Whether no live worker serves the queue."""
        return self.processes == 0 and not self.missing

    @property
    def seconds(self) -> float | None:
        """After how many seconds it should start; None when nobody knows."""
        if not self.processes or self.typical is None or self.more:
            return None
        return self.ahead * self.typical / self.processes

    @property
    def place(self) -> str:
        """How many are ahead, in words."""
        if not self.ahead:
            return "next in its queue"
        return f"{self.ahead:,}{'+' if self.more else ''} ahead of it"

    @property
    def start(self) -> str:
        """When it should start, in words; empty when nobody knows."""
        if self.seconds is None:
            return ""
        return "should start any moment" if self.seconds < 1 else f"should start in about {_rough(self.seconds)}"

    @property
    def short(self) -> str:
        """The line of a list."""
        if self.unserved:
            return f"no worker serves the queue {self.queue}"
        if self.missing:
            return f"its queue waits for {self.waits_for}"
        return ", ".join(part for part in (self.place, self.start) if part)

    @property
    def waits_for(self) -> str:
        """The resources that its workers are without, in words; empty when there are none."""
        return f"the resource{'s' * (len(self.missing) > 1)} {', '.join(self.missing)}" if self.missing else ""

    @property
    def served_by(self) -> str:
        """Who works the queue off, in words."""
        if not self.processes:
            return ""
        return "1 process serves" if self.processes == 1 else f"{self.processes:,} processes serve"


def _rough(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def waiting(jobs: Sequence[Job]) -> dict[str, Waiting]:
    """Return what those of `jobs` can expect that wait for a worker, by id; at most two queries, whatever their number.

    Places are those of the book, two seconds old at most; jobs with another priority may pass.
    """
    found = [job for job in jobs if job.state == State.QUEUED and job.queue and not (job.lock or job.answer_of)]
    if not found:
        return {}
    queues = sorted({job.queue for job in found})
    places, times, pools = _places(queues), _run_times(), _pools()
    missing = pools.missing if pools is not None else {}
    return {
        job.pk: Waiting(
            queue=job.queue,
            ahead=places[job.queue].get(job.pk, len(places[job.queue])),
            processes=None if pools is None else pools.processes.get(job.queue, 0),
            typical=times.get(job.queue),
            missing=missing.get(job.queue, ()),
        )
        for job in found
    }


def _places(queues: Sequence[str]) -> dict[str, dict[str, int]]:
    """Return for each queue the ids of its first MOST_AHEAD waiting jobs with their places, in one query for all."""
    keys = {f"jobs.places.{hashlib.sha256(queue.encode()).hexdigest()[:24]}": queue for queue in queues}
    kept = {keys[key]: value for key, value in cache.get_many(keys).items()}
    missing = [queue for queue in queues if queue not in kept]
    if missing:
        fresh = _read_places(missing)
        cache.set_many({key: fresh[queue] for key, queue in keys.items() if queue in fresh}, KEPT)
        kept.update(fresh)
    return kept


def _read_places(queues: Sequence[str]) -> dict[str, dict[str, int]]:
    # Written by hand, because Django makes no union of queries that have each their own end on SQLite.
    texts: list[str] = []
    values: list[Any] = []
    for number, queue in enumerate(queues):
        first = Job.objects.filter(state=State.QUEUED, queue=queue, queued_at__isnull=False, answer_of="")
        first = first.order_by("queued_at", "pk")
        text, parameters = first.values_list("queue", "queued_at", "pk")[:MOST_AHEAD].query.sql_with_params()
        texts.append(f"SELECT * FROM ({text}) AS of_{number}")  # noqa: S608 — made by Django, values go as parameters
        values.extend(parameters)
    places: dict[str, dict[str, int]] = {queue: {} for queue in queues}
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(texts), values)
        for queue, _, pk in sorted(cursor.fetchall()):
            places[queue][pk] = len(places[queue])
    return places


def _run_times() -> dict[str, float]:
    """Return the mean run time in seconds of the latest successful jobs of each queue."""

    def read() -> dict[str, float]:
        latest = Job.objects.filter(state=State.SUCCEEDED).newest_first()
        seconds = defaultdict(list)
        columns = latest.values_list("queue", "started_at", "finished_at", "answer_of")
        for queue, began, ended, answer_of in columns[:LOOKED_AT]:
            if began and ended and not answer_of:
                seconds[queue].append(max(0.0, (ended - began).total_seconds()))
        return {queue: fmean(values) for queue, values in seconds.items()}

    return cast("dict[str, float]", cache.get_or_set("jobs.run_times", read, KEPT))


@dataclasses.dataclass(frozen=True)
class Pools:
    """Who serves the queues."""

    processes: dict[str, int]  # of live workers that take jobs, by queue
    missing: dict[str, tuple[str, ...]]  # of queues that no worker takes jobs from, the resources that they wait for


def _pools() -> Pools | None:
    """Return who serves each queue; None when Redis does not answer."""

    def read() -> Pools:
        processes: dict[str, int] = defaultdict(int)
        missing: dict[str, set[str]] = defaultdict(set)
        for worker in heartbeat.workers():
            for queue in worker.queues if worker.alive else ():
                if queue in worker.waiting:
                    missing[queue].update(worker.waiting[queue])
                else:
                    processes[queue] += max(1, worker.concurrency)
        waits = {queue: tuple(sorted(names)) for queue, names in missing.items() if queue not in processes}
        return Pools(dict(processes), waits)

    try:
        return cast("Pools", cache.get_or_set("jobs.pools", read, KEPT))
    except (redis.Error, RedisUnavailable, OSError):
        return None

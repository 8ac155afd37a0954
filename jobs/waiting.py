"""What a waiting job can expect: how many are before it, who serves its queue, when it should start."""

import dataclasses
import hashlib
import heapq
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, cast

from django.core.cache import cache
from django.db import connection
from django.utils import timezone

from common import heartbeat, redis
from common.exceptions import RedisUnavailable
from jobs import history
from jobs.looking import union_all
from jobs.models import Job, State

# Nothing is counted beyond this.
MOST_AHEAD = 1000
# So many running jobs are asked when they will end: as many as there may be processes.
MOST_RUNNING = 500
# Seconds for which places, workers and running jobs are remembered.
KEPT = 2


@dataclasses.dataclass(frozen=True)
class Waiting:
    """The place of one job in its queue."""

    queue: str
    ahead: int  # jobs of the queue that were queued before it, at most MOST_AHEAD
    processes: int | None  # pool processes that serve the queue; None when nobody knows
    seconds: float | None = None  # until a process should be free for it; None when nobody knows
    unknown: int = 0  # of those before it, how many nobody knows the run time of
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
    def place(self) -> str:
        """How many are ahead, in words."""
        if not self.ahead:
            return "next in its queue"
        return f"{self.ahead:,}{'+' if self.more else ''} ahead of it"

    @property
    def start(self) -> str:
        """When it should start, in words; empty when there is nothing to say."""
        if not self.processes or self.more:
            return ""
        if self.seconds is None:
            those = "a job" if self.unknown == 1 else f"{self.unknown:,} jobs"
            return f"nobody knows yet how long {those} before it will take" if self.unknown else ""
        if self.seconds < 1:
            return "should start any moment"
        return f"should start {'within' if self.unknown else 'in'} about {_rough(self.seconds)}"

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


class InLine(NamedTuple):
    """One waiting job in its queue."""

    pk: str
    task: str


class Start(NamedTuple):
    """When a place in a queue has its turn."""

    seconds: float  # from now; infinite when nobody knows
    unknown: int  # jobs before it that nobody knows the run time of


class Busy(NamedTuple):
    """A running job, which keeps a process from the queue."""

    task: str
    spent: float  # seconds since it began
    left: float | None  # seconds by its own progress; None when it tells none


def waiting(jobs: Sequence[Job]) -> dict[str, Waiting]:
    """Return what those of `jobs` can expect that wait for a worker, by id; at most three queries, whatever their number.

    Places are those of the book, two seconds old at most; jobs with another priority may pass. The start is what comes
    out when the processes take the jobs before it one after the other, and each takes as long as its task usually does.
    """
    found = [job for job in jobs if job.state == State.QUEUED and job.queue and not (job.lock or job.answer_of)]
    if not found:
        return {}
    queues = sorted({job.queue for job in found})
    lines, pools = _lines(queues), _pools()
    served = {} if pools is None else {queue: pools.processes.get(queue, 0) for queue in queues}
    busy = _busy() if any(served.values()) else {}
    tasks = {job.task for queue in queues for job in (*lines[queue], *busy.get(queue, ()))}
    times = history.typical(tasks) if any(served.values()) else {}
    places = {queue: {job.pk: at for at, job in enumerate(lines[queue])} for queue in queues}
    starts = {queue: _starts(lines[queue], busy.get(queue, ()), served.get(queue, 0), times) for queue in queues}
    missing = pools.missing if pools is not None else {}
    expected = {}
    for job in found:
        ahead = places[job.queue].get(job.pk, len(lines[job.queue]))
        start = starts[job.queue][ahead] if served.get(job.queue) else Start(math.inf, 0)
        expected[job.pk] = Waiting(
            queue=job.queue,
            ahead=ahead,
            processes=None if pools is None else served[job.queue],
            seconds=start.seconds if start.seconds < math.inf else None,
            unknown=start.unknown,
            missing=missing.get(job.queue, ()),
        )
    return expected


def _starts(line: Sequence[InLine], busy: Iterable[Busy], processes: int, times: Mapping[str, float]) -> list[Start]:
    """Return the start of each place of the line, and of the one after its last.

    That is a list schedule: the next in line takes the process that is free first. A job of which nobody knows how long it
    takes keeps its process for good, so a start that comes out nevertheless is the latest to expect.
    """
    if not processes:
        return []
    ends = sorted(_left(job, times) for job in busy)[:processes]
    free = [*ends, *[0.0] * (processes - len(ends))]
    heapq.heapify(free)
    unknown = free.count(math.inf)
    starts = [Start(free[0], unknown)]
    for job in line:
        seconds = times.get(job.task, math.inf)
        heapq.heapreplace(free, free[0] + seconds)
        unknown += seconds == math.inf
        starts.append(Start(free[0], unknown))
    return starts


def _left(job: Busy, times: Mapping[str, float]) -> float:
    """Return how many seconds a running job should still take, infinitely many when nobody knows."""
    if job.left is not None:
        return job.left
    return max(0.0, times.get(job.task, math.inf) - job.spent)


def _lines(queues: Sequence[str]) -> dict[str, list[InLine]]:
    """Return for each queue the first MOST_AHEAD waiting jobs in their order, in one query for all."""
    keys = {f"jobs.lines.{hashlib.sha256(queue.encode()).hexdigest()[:24]}": queue for queue in queues}
    kept = {keys[key]: value for key, value in cache.get_many(keys).items()}
    missing = [queue for queue in queues if queue not in kept]
    if missing:
        fresh = _read_lines(missing)
        cache.set_many({key: fresh[queue] for key, queue in keys.items() if queue in fresh}, KEPT)
        kept.update(fresh)
    return kept


def _read_lines(queues: Sequence[str]) -> dict[str, list[InLine]]:
    firsts = []
    for queue in queues:
        first = Job.objects.filter(state=State.QUEUED, queue=queue, queued_at__isnull=False, answer_of="")
        first = first.order_by("queued_at", "pk")[:MOST_AHEAD]
        firsts.append(first.values_list("queue", "queued_at", "pk", "task"))
    lines: dict[str, list[InLine]] = {queue: [] for queue in queues}
    with connection.cursor() as cursor:
        cursor.execute(*union_all(firsts))
        for queue, _, pk, task in sorted(cursor.fetchall()):
            lines[queue].append(InLine(pk, task))
    return lines


def _busy() -> dict[str, list[Busy]]:
    """Return the running jobs of each queue, without those that wait for the answer of another."""

    def read() -> dict[str, list[Busy]]:
        moment = timezone.now()
        found = defaultdict(list)
        columns = ("id", "task", "queue", "state", "started_at", "answer_of", "progress", "execution")
        running = Job.objects.filter(state=State.RUNNING, started_at__isnull=False).newest_first().only(*columns)
        for job in running[:MOST_RUNNING]:
            if not job.answer_of and job.started_at:
                spent = max(0.0, (moment - job.started_at).total_seconds())
                found[job.queue].append(Busy(job.task, spent, history.left_by_progress(job.fraction, spent)))
        return dict(found)

    return cast("dict[str, list[Busy]]", cache.get_or_set("jobs.busy", read, KEPT))


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

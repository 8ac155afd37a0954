"""A waiting job's place in its queue: how many are before it, who serves the queue, when it should start."""

import dataclasses
import hashlib
import heapq
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from django.core.cache import cache
from django.db import connection
from django.utils import timezone

from jobroom import redis
from jobroom.celery import task_limits
from jobroom.celery.pauses import Paused
from jobroom.jobs import estimates, forecast, task_titles
from jobroom.jobs.models import Job, State
from jobroom.jobs.number_formats import clock
from jobroom.jobs.pools import KEPT, Busy, Pools, Silent
from jobroom.jobs.pools import pools as pools_now
from jobroom.jobs.search import union_all
from jobroom.users import User

# Nothing is counted beyond this.
MOST_AHEAD = 1000
# So many running jobs are asked when they will end: as many as there may be processes.
MOST_RUNNING = 500
# A job that could have been started for so many seconds, and was not, is not said to start soon.
OVERDUE = 10.0
# So many jobs in front are named.
NAMED = 3


@dataclasses.dataclass(frozen=True)
class Waiting:
    """The place of one job in its queue."""

    queue: str
    ahead: int  # jobs of the queue that were queued before it, at most MOST_AHEAD
    processes: int | None  # pool processes that serve the queue; None when no one knows
    seconds: float | None = None  # until a process should be free for it; None when no one knows
    unknown: int = 0  # of those before it, how many no one knows the run time of
    missing: tuple[str, ...] = ()  # resources without which no worker takes jobs from the queue now
    stuck: tuple[str, ...] = ()  # workers of the queue that live and receive nothing, where there is no other
    limit: str = ""  # the rate limit that a worker holds it back for
    late: float = 0.0  # seconds that it has waited although a process was free, by what workers say of themselves
    quiet: tuple[str, ...] = ()  # workers of the queue that an operator has made quiet, where there is no other
    silent: tuple[Silent, ...] = ()  # workers of the queue whose heartbeat has stopped, where there is no other
    kept: Silent | None = None  # the silent worker that has its message
    workers: Mapping[str, str] = dataclasses.field(
        default_factory=dict
    )  # instance of each of those that are named, by name
    turn: str = ""  # the limit or fair queue that lets it wait for its turn, in words
    paused: Paused | None = None  # what keeps it, its queue or its task, and who paused that
    front: tuple["InFront", ...] = ()  # who is before it: what runs first, then who waits; at most NAMED
    taken: bool = False  # a worker says that it runs it, which the history does not know yet

    @property
    def more(self) -> bool:
        """Whether there are more ahead than were counted."""
        return self.ahead >= MOST_AHEAD

    @property
    def unserved(self) -> bool:
        """Whether no live worker serves the queue."""
        others = self.missing or self.stuck or self.paused or self.quiet or self.silent or self.kept
        return self.processes == 0 and not others

    @property
    def held_up(self) -> str:
        """What keeps it from starting although it is its turn, in words; empty when nothing is known to."""
        if self.paused:
            return self.paused.sentence
        if self.is_silent:
            return self.silence
        if self.turn:
            return self.turn
        if self.limit:
            return f"a worker holds it back for the rate limit {self.limit}"
        if self.stuck or self.quiet:
            return self.idleness
        if self.late:
            return f"a process is free, but it has not been started for {_rough(self.late)}"
        return ""

    @property
    def idleness(self) -> str:
        """Which workers of its queue live and take no jobs, and why."""
        names, one = " and ".join(self.stuck or self.quiet), len(self.stuck or self.quiet) == 1
        if self.stuck:
            return f"{names} live{'s' * one} but receive{'s' * one} no jobs: restart {'it' if one else 'them'}"
        asked = f"an operator has asked {'it' if one else 'them'} to take no jobs"
        return f"{names} {'is' if one else 'are'} quiet: {asked}" if names else ""

    @property
    def is_silent(self) -> bool:
        """Whether the silence of a worker keeps it from starting."""
        return bool(self.kept or (self.silent and not (self.stuck or self.quiet or self.missing)))

    @property
    def silence(self) -> str:
        """Which worker says nothing any more, and since when."""
        if self.kept:
            return f"the worker {self.kept.name} has its message, and has been silent since {clock(self.kept.since)}"
        names = " and ".join(worker.name for worker in self.silent)
        since = clock(max(worker.since for worker in self.silent))
        if len(self.silent) == 1:
            return f"the worker {names}, the only one of the queue {self.queue}, has been silent since {since}"
        return f"all workers of the queue {self.queue} have been silent since {since}: {names}"

    @property
    def place(self) -> str:
        """How many are ahead, in words."""
        if self.taken:
            return "a worker has started it, which is not recorded yet"
        if not self.ahead:
            return "next in its queue"
        return f"{self.ahead:,}{'+' if self.more else ''} ahead of it"

    @property
    def start(self) -> str:
        """When it should start, in words; empty when there is nothing to say."""
        if not self.processes or self.more or self.held_up or self.taken:
            return ""
        if self.seconds is None:
            those = "a job" if self.unknown == 1 else f"{self.unknown:,} jobs"
            return f"not known yet how long {those} before it will take" if self.unknown else ""
        if self.seconds < 1:
            return "should start any moment"
        return f"should start {'within' if self.unknown else 'in'} about {_rough(self.seconds)}"

    @property
    def short(self) -> str:
        """Where it stands and what to expect, in one line."""
        if self.paused:
            return self.paused.sentence
        if self.unserved:
            return f"no worker serves the queue {self.queue}"
        if self.missing:
            return f"its queue waits for {self.waits_for}"
        return ", ".join(part for part in (self.place, self.held_up or self.start) if part)

    @property
    def line(self) -> str:
        """What a list says, in few words: where no one knows when it starts, the place alone."""
        return self.place if self.short == f"{self.place}, {self.start}" and self.seconds is None else self.short

    @property
    def in_front(self) -> str:
        """Who is before it, in words."""
        return ", ".join(one.words for one in self.front)

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


def front_for(user: User, place: "Waiting") -> str:
    """Return who is in front of a waiting job, in words; one that the person may not see is not named."""
    seen = set(
        Job.objects.visible_to(user).filter(pk__in=[one.job for one in place.front]).values_list("pk", flat=True)
    )
    return ", ".join(
        one.words if one.job in seen else one._replace(task="a job that you may not see", job="").words
        for one in place.front
    )


class Start(NamedTuple):
    """When a place in a queue has its turn."""

    seconds: float  # from now; infinite when no one knows
    unknown: int  # jobs before it that no one knows the run time of


class InFront(NamedTuple):
    """One who is before a waiting job."""

    job: str
    task: str
    spent: float | None  # seconds since it began; None when it waits too
    left: float | None = None  # seconds until its time limit ends it; None without one

    @property
    def words(self) -> str:
        """Who it is, and since when it runs."""
        called = task_titles.title(self.task)
        name = f"{called} ({self.job[:8]})" if self.job else called
        if self.spent is None:
            return name
        until = f", at most {_rough(self.left)} more" if self.left is not None else ""
        return f"{name}, running for {_rough(self.spent)}{until}"


def waiting(jobs: Sequence[Job], *, locked: bool = False, fresh: bool = False) -> dict[str, Waiting]:
    """Return what those of `jobs` can expect that wait for a worker, by id; at most four queries, whatever their number.

    With `locked` also those that wait for a lock, which have a message in the queue as well. With `fresh` nothing that workers
    say, and that operators did, is older than this call.

    Places are those of the database, two seconds old at most; jobs with another priority may pass. The start is what comes
    out when the processes take the jobs before it one after the other, and each takes as long as its task usually does
    with an input of its size. The sizes of inputs are asked for once, by three more queries for a task that has them.
    """
    found = [job for job in jobs if job.state == State.QUEUED and job.queue and not job.answer_of]
    found = [job for job in found if locked or not job.lock]
    if not found:
        return {}
    queues = sorted({job.queue for job in found})
    lines, pools = _lines(queues), pools_now(fresh=fresh)
    served = {} if pools is None else {queue: pools.processes.get(queue, 0) for queue in queues}
    busy = _all_busy(_busy(), pools) if pools is not None and any(served.values()) else {}
    run = {job.job: job.spent for jobs in busy.values() for job in jobs}
    lines = {queue: [job for job in line if job.pk not in run] for queue, line in lines.items()}
    times = _times(lines, busy) if any(served.values()) else {}
    places = {queue: {job.pk: at for at, job in enumerate(lines[queue])} for queue in queues}
    starts = {queue: _starts(lines[queue], busy.get(queue, ()), served.get(queue, 0), times) for queue in queues}
    missing = pools.missing if pools is not None else {}
    turns_of = _turns(found) if pools is not None else {}
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
            turn=turns_of.get(job.pk, ""),
            **(_seen(job, pools, start) if pools is not None else {}),
            front=_front(busy.get(job.queue, ()), lines[job.queue][:ahead]),
        )
        if job.pk in run and job.queued_at and run[job.pk] <= (timezone.now() - job.queued_at).total_seconds() + KEPT:
            # Else it is an earlier attempt of it that runs, by a heartbeat that is older than its retry.
            expected[job.pk] = dataclasses.replace(expected[job.pk], taken=True, ahead=0, front=(), late=0.0)
    return expected


def _times(lines: Mapping[str, Sequence[InLine]], busy: Mapping[str, Sequence[Busy]]) -> dict[str, float]:
    """Return how many seconds what waits and what runs usually takes, by job."""
    waits = {job.pk: job.task for line in lines.values() for job in line}
    return estimates.usual({**waits, **{job.job: job.task for jobs in busy.values() for job in jobs}})


def _turns(jobs: Sequence[Job]) -> dict[str, str]:
    """Return why those jobs wait that wait for a limit or for their turn; nothing while Redis is away."""
    try:
        return task_limits.sentences([job.pk for job in jobs])
    except (redis.Error, OSError):
        return {}


def _seen(job: Job, pools: "Pools", start: Start) -> dict[str, Any]:
    """Return what workers say of themselves that keeps the job from starting."""
    paused = pools.paused.get(("queue", job.queue)) or pools.paused.get(("task", job.task))
    seen: dict[str, Any] = {
        "stuck": pools.stuck.get(job.queue, ()),
        "quiet": pools.quiet.get(job.queue, ()),
        "silent": pools.silent.get(job.queue, ()),
        "kept": pools.kept.get(job.pk),
        "workers": pools.instances,
        "limit": pools.limited.get(job.pk, ""),
        "paused": paused,
    }
    if start.seconds < 1 and job.queue in pools.reporting and job.queued_at is not None:
        waited = (timezone.now() - job.queued_at).total_seconds()
        seen["late"] = waited if waited > OVERDUE else 0.0
    return seen


def _front(busy: Iterable[Busy], line: Sequence[InLine]) -> tuple[InFront, ...]:
    runs = sorted((job for job in busy if job.job), key=lambda job: -job.spent)
    found = [InFront(job.job, job.task, job.spent, job.limit) for job in runs[:NAMED]]
    return (*found, *(InFront(one.pk, one.task, None) for one in line[: NAMED - len(found)]))


def _all_busy(known: Mapping[str, Sequence[Busy]], pools: "Pools") -> dict[str, list[Busy]]:
    """Return what keeps processes from each queue: what the history knows to run, and what workers say they run.

    A worker says also what is not recorded, and what came from another of its queues.
    """
    limits = {job.job: job.limit for jobs in pools.busy.values() for job in jobs}
    found = {queue: [job._replace(limit=limits.get(job.job)) for job in jobs] for queue, jobs in known.items()}
    by_id = {job.job: job for jobs in found.values() for job in jobs}
    for queue, jobs in pools.busy.items():
        here = found.setdefault(queue, [])
        ids = {job.job for job in here}
        here += [by_id.get(job.job, job) for job in jobs if job.job not in ids]
    return found


def _starts(line: Sequence[InLine], busy: Iterable[Busy], processes: int, times: Mapping[str, float]) -> list[Start]:
    """Return the start of each place of the line, and of the one after its last.

    That is a list schedule: the next in line takes the process that is free first. A job of which no one knows how long it
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
        seconds = times.get(job.pk, math.inf)
        heapq.heapreplace(free, free[0] + seconds)
        unknown += seconds == math.inf
        starts.append(Start(free[0], unknown))
    return starts


def _left(job: Busy, times: Mapping[str, float]) -> float:
    """Return how many seconds a running job should still take, infinitely many when no one knows."""
    left = forecast.single(times.get(job.job), job.fraction, job.spent)
    return math.inf if left is None else left


def _lines(queues: Sequence[str]) -> dict[str, list[InLine]]:
    """Return for each queue the first MOST_AHEAD waiting jobs in their order, in one query for all."""
    keys = {f"jobroom.jobs.lines.{hashlib.sha256(queue.encode()).hexdigest()[:24]}": queue for queue in queues}
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
                found[job.queue].append(Busy(job.task, spent, job.fraction, job.pk))
        return dict(found)

    return cast("dict[str, list[Busy]]", cache.get_or_set("jobroom.jobs.busy", read, KEPT))

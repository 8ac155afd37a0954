"""The list of queues for page, API and command: how many messages since when, who serves it, and when it should be empty."""

import dataclasses
from collections import Counter, defaultdict
from datetime import datetime

from celery import current_app
from django.utils import timezone

from jobroom.celery import parked_jobs, pauses
from jobroom.celery.pauses import Paused
from jobroom.celery.queue_messages import job_of
from jobroom.conf import settings
from jobroom.events import heartbeat
from jobroom.events.heartbeat import Worker
from jobroom.jobs.models import Job, State
from jobroom.queues import broker, samples
from jobroom.queues.exceptions import NotKnowable

# Waiting jobs that are asked for the queues that they name.
LOOKED = 1000
# Jobs that one statement asks for.
AT_ONCE = 500

# What a queue is, the worst first: sentence for a reader who does not know the words.
STATES = {
    "unserved": "Messages wait, and no living worker takes them.",
    "stuck": "Messages wait, and its workers live but receive nothing: restart them.",
    "paused": "An operator has paused it: nothing of it is started.",
    "resource": "Its workers wait for a resource that they need.",
    "idle": "No worker serves it, and nothing waits.",
    "served": "Workers take its messages.",
}


@dataclasses.dataclass(frozen=True)
class QueueRow:
    """One queue."""

    name: str
    state: str  # a key of STATES
    depth: int | None  # messages that wait; None when the broker does not know the queue
    oldest: datetime | None  # since when the message waits that is taken next; None when that is unknown
    workers: list[str]  # the names of the living ones that serve it
    processes: int  # of those workers, that take jobs now
    into: float | None  # messages a minute; None when that is unknown
    out: float | None
    drain: float | None  # seconds until it should be empty; None when that is unknown, or it does not become shorter
    paused: Paused | None
    resources: list[str]  # that its workers wait for
    busy: int = 0  # of those processes, that run something
    held: dict[str, int] = dataclasses.field(default_factory=dict)  # jobs that wait beside the broker, by what for
    held_more: frozenset[str] = frozenset()  # of those, what more wait for than were counted

    @property
    def explanation(self) -> str:
        """What its state means."""
        return STATES[self.state]

    @property
    def held_words(self) -> str:
        """What waits beside the broker, in words; empty for nothing."""
        return ", ".join(
            f"{number:,}{'+' * (kind in self.held_more)} for {parked_jobs.KINDS[kind]}"
            for kind, number in sorted(self.held.items())
        )

    @property
    def is_bad(self) -> bool:
        """Whether someone has to do something."""
        return self.state in {"unserved", "stuck"}

    @property
    def grows(self) -> bool:
        """Whether it does not become shorter although it is worked on."""
        return bool(self.depth) and self.out is not None and self.into is not None and self.out <= self.into


def names_known(workers: list[Worker] | None = None) -> list[str]:
    """Return the queues that settings, workers or waiting jobs name."""
    # Not all of `amqp.queues`: a process adds each name to it that it ever published to, so processes would disagree.
    found = {*settings.QUEUES, *current_app.amqp.queues.consume_from}
    for worker in workers if workers is not None else heartbeat.workers():
        found.update(worker.queues)
    waiting = Job.objects.filter(state=State.QUEUED, queued_at__isnull=False).exclude(queue="").order_by("queued_at")
    found.update(waiting.values_list("queue", flat=True)[:LOOKED])
    found.update(name for kind, name in pauses.current() if kind == "queue")
    return sorted(found)


def rows(only: str = "") -> list[QueueRow]:
    """Return all queues, those that need someone first; or `only` one. Raises the errors of the broker and of Redis."""
    workers = heartbeat.workers()
    names = [only] if only else names_known(workers)
    depths, since, paused = broker.depths(names), _oldest(names), pauses.current()
    speeds, (held, held_more) = samples.rates(), _held()
    living = [worker for worker in workers if worker.alive]
    found = [
        _row(
            name,
            depths.get(name),
            since.get(name),
            living,
            speeds.get(name),
            paused.get(("queue", name)),
            (held.get(name, Counter()), held_more),
        )
        for name in names
    ]
    order = list(STATES)
    return sorted(found, key=lambda row: (order.index(row.state) if row.depth or row.paused else 9, row.name))


def takers(queue: str) -> list[str]:
    """Return the names of the living workers that take jobs, and none from this queue."""
    return sorted({worker.name for worker in heartbeat.workers() if worker.takes_jobs and queue not in worker.queues})


def _oldest(names: list[str]) -> dict[str, datetime]:
    """Return since when the next message of each queue waits, as far as the history knows."""
    try:
        with broker.queues() as found:
            firsts = {name: job_of(text) for name, text in found.first(names).items()}
    except NotKnowable:
        rows = Job.objects.filter(state=State.QUEUED, queued_at__isnull=False, queue__in=names).order_by("queued_at")
        return {queue: at for queue, at in reversed(rows.values_list("queue", "queued_at")[:LOOKED]) if at}
    at = dict(Job.objects.filter(pk__in=[job for job in firsts.values() if job]).values_list("pk", "queued_at"))
    return {name: moment for name, job in firsts.items() if (moment := at.get(job)) is not None}


def _held() -> tuple[dict[str, Counter[str]], frozenset[str]]:
    """Return for each queue how many of its jobs wait beside the broker, by what for; and what more wait for than were counted.

    At most six statements: a job of a fair queue says itself where it waits, and of the others no more are read.
    """
    read = parked_jobs.read()
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for queue in read.turns.values():
        found[queue]["turn"] += 1
    jobs, ids = read.jobs, list(read.jobs)
    for some in (ids[at : at + AT_ONCE] for at in range(0, len(ids), AT_ONCE)):
        for pk, queue in Job.objects.filter(pk__in=some, state=State.QUEUED).values_list("pk", "queue"):
            found[queue][jobs[pk]] += 1
    return found, read.more


def _row(
    name: str,
    depth: int | None,
    oldest: datetime | None,
    living: list[Worker],
    speed: samples.Rate | None,
    paused: Paused | None,
    held: tuple[Counter[str], frozenset[str]],
) -> QueueRow:
    mine = [worker for worker in living if name in worker.queues]
    lacking = sorted({resource for worker in mine for resource in worker.waiting.get(name, ())})
    taking = [
        worker for worker in mine if worker.takes_jobs and name not in worker.waiting and name not in worker.paused
    ]
    return QueueRow(
        name=name,
        state=_state(depth, mine, taking, paused, lacking),
        depth=depth,
        oldest=min(oldest, timezone.now()) if oldest and depth else None,
        workers=sorted({worker.name for worker in mine}),
        processes=sum(max(1, worker.concurrency) for worker in taking),
        into=speed.into * 60 if speed else None,
        out=speed.out * 60 if speed else None,
        drain=speed.drain(depth) if speed and depth else None,
        paused=paused,
        resources=lacking,
        busy=sum(len(worker.running) for worker in taking),
        held=dict(held[0]),
        held_more=held[1] & held[0].keys(),
    )


def _state(
    depth: int | None, mine: list[Worker], taking: list[Worker], paused: Paused | None, lacking: list[str]
) -> str:
    if paused:
        return "paused"
    if taking:
        return "served"
    if lacking:
        return "resource"
    if not depth:
        return "idle"
    return "stuck" if mine else "unserved"

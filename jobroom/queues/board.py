"""All queues as page, API and command show them: how much waits since when, who serves it, and when it should be empty."""

import dataclasses
from datetime import datetime

from celery import current_app
from django.utils import timezone

from jobroom.celery import pauses
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

    @property
    def explanation(self) -> str:
        """What its state means."""
        return STATES[self.state]

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
    found = {*settings.QUEUES, *current_app.amqp.queues}
    for worker in workers if workers is not None else heartbeat.workers():
        found.update(worker.queues)
    waiting = Job.objects.filter(state=State.QUEUED, queued_at__isnull=False).exclude(queue="").order_by("queued_at")
    found.update(waiting.values_list("queue", flat=True)[:LOOKED])
    found.update(name for kind, name in pauses.current() if kind == "queue")
    return sorted(found)


def board(only: str = "") -> list[QueueRow]:
    """Return all queues, those that need someone first; or `only` one. Raises the errors of the broker and of Redis."""
    workers = heartbeat.workers()
    names = [only] if only else names_known(workers)
    depths, since, paused = broker.depths(names), _oldest(names), pauses.current()
    speeds = samples.rates()
    living = [worker for worker in workers if worker.alive]
    rows = [
        _row(name, depths.get(name), since.get(name), living, speeds.get(name), paused.get(("queue", name)))
        for name in names
    ]
    order = list(STATES)
    return sorted(rows, key=lambda row: (order.index(row.state) if row.depth or row.paused else 9, row.name))


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


def _row(
    name: str,
    depth: int | None,
    oldest: datetime | None,
    living: list[Worker],
    speed: samples.Rate | None,
    paused: Paused | None,
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

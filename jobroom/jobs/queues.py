"""Queue lengths for the staff's overview: how many wait, since when, and which workers serve them."""

import dataclasses
from datetime import datetime

from jobroom.conf import settings
from jobroom.events import heartbeat
from jobroom.exceptions import RedisUnavailable
from jobroom.jobs.filters import count
from jobroom.jobs.models import Job, State
from jobroom.jobs.search import Count


@dataclasses.dataclass(frozen=True)
class Queue:
    """One queue."""

    name: str
    depth: Count  # jobs that wait in it
    oldest: datetime | None  # since when the first of them waits
    processes: int | None  # that serve it; None when that is unknown
    busy: int = 0  # of them, how many run a job

    @property
    def unserved(self) -> bool:
        """Whether jobs wait and no worker takes them."""
        return bool(self.depth.number) and self.processes == 0


def queues() -> list[Queue]:
    """Return the queues of the settings and of all workers, by name."""
    try:
        alive = [worker for worker in heartbeat.workers() if worker.takes_jobs]
        known = True
    except RedisUnavailable:
        alive, known = [], False
    names = sorted({*settings.QUEUES, *(queue for worker in alive for queue in worker.queues)})
    found = []
    for name in names:
        serving = [worker for worker in alive if name in worker.queues]
        waiting = Job.objects.filter(state=State.QUEUED, queue=name)
        oldest = waiting.order_by("queued_at").values_list("queued_at", flat=True).first()
        processes = sum(worker.concurrency for worker in serving) if known else None
        found.append(Queue(name, count(waiting), oldest, processes, sum(len(w.running) for w in serving)))
    return found

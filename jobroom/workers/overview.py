"""The list of workers and their resources for page, API and command.

What a worker says of its resources is on its own clock; here it becomes ages, and ages become moments of ours.
"""

import dataclasses
from collections import Counter
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from jobroom.anchors import anchor
from jobroom.celery.worker_commands import SIZABLE
from jobroom.events import heartbeat
from jobroom.events.heartbeat import Worker
from jobroom.jobs.models import Job, State
from jobroom.resources import declared
from jobroom.runner import restarts
from jobroom.workers.rescue import living_and_gone

# Waiting jobs that are looked at.
MOST = 1000

# What a worker is, the worst first: sentence for a reader who does not know the words.
STATES = {
    "silent": "No heartbeat: it was killed, hangs or cannot reach Redis.",
    "stuck": "It lives, but the loop that receives jobs stands still: restart it.",
    "waiting": "Some of its queues wait for a resource.",
    "quiet": "An operator has asked it to take no jobs; what it runs goes on.",
    "starting": "It loads what its processes share, and takes no job yet.",
    "alive": "It takes jobs.",
}


@dataclasses.dataclass(frozen=True)
class ResourceRow:
    """One resource of one worker."""

    name: str
    state: str  # waiting, loading, ready, failed, unloaded; unknown of a silent worker
    last_state: str  # what the worker said last
    queues: list[str]
    since: datetime | None  # of the state
    versions: list[str]
    next_version: str | None  # being loaded while another one is used
    refused: str | None  # a version that could not be loaded while another one is used
    size: int  # bytes, of all processes together
    seconds: float  # that the load took
    loaded_at: datetime | None
    last_used: datetime | None
    error: str
    attempts: int  # failed ones in a row
    retry_at: datetime | None
    processes: int  # that hold it or should
    ready: int  # of which so many have it
    shared: bool  # one copy, inherited by all

    @property
    def description(self) -> str:
        """What its author says of it; empty where this process does not know it."""
        return declared[self.name].description if self.name in declared else ""


@dataclasses.dataclass(frozen=True)
class WorkerRow:
    """One worker."""

    name: str
    state: str  # a key of STATES
    host: str
    pid: int
    queues: list[str]
    waiting: dict[str, list[str]]  # queues that it does not consume now → resources that they wait for
    pool: str
    concurrency: int
    held: list[str]
    started: datetime | None
    seen: datetime | None
    silent: float  # seconds since the last heartbeat
    resources: list[ResourceRow]
    instance: str = ""
    running: list[dict[str, Any]] = dataclasses.field(default_factory=list)  # job, task, began
    paused: list[str] = dataclasses.field(default_factory=list)  # queues that it does not consume, as they are paused
    supervised: bool = False  # it hangs, and a supervisor of ours can start it again
    predecessor: str = ""  # what happened to the process before this one, in a sentence

    @property
    def explanation(self) -> str:
        """What its state means."""
        return STATES[self.state]

    @property
    def anchor(self) -> str:
        """Its place on the page."""
        return anchor("worker", self.instance)

    @property
    def sizable(self) -> bool:
        """Whether its pool can grow and shrink while it runs."""
        return self.pool in SIZABLE

    @property
    def answers(self) -> bool:
        """Whether it takes commands."""
        return self.state not in {"silent", "starting"}

    @property
    def served(self) -> list[tuple[str, list[str]]]:
        """Its queues, each with the resources that it waits for."""
        return [(queue, self.waiting.get(queue, [])) for queue in self.queues]


@dataclasses.dataclass(frozen=True)
class Overview:
    """All workers, and what is wrong in sentences."""

    workers: list[WorkerRow]
    problems: list[str]

    @property
    def taking(self) -> list[WorkerRow]:
        """Those that can be given a queue."""
        return [worker for worker in self.workers if worker.state in {"alive", "waiting"}]


def overview() -> Overview:
    """Return all workers that were seen and did not say good-bye; raises the errors of Redis."""
    found = heartbeat.workers()
    living, _ = living_and_gone(found)
    all_rows = rows(found)
    return Overview(all_rows, [*_problems_of(all_rows), *unserved(living), *_unserved(all_rows)])


def rows(found: list[Worker]) -> list[WorkerRow]:
    """Return workers as they are shown, without asking what waits for them."""
    living, _ = living_and_gone(found)
    now = timezone.now()
    notes = heartbeat.vanished([worker.name for worker in living])
    # Of those that hang it is said whether a supervisor of ours can start them again; mostly there are none.
    hangs = any(worker.stuck or worker not in living for worker in found)
    supervised = restarts.supervised() if hangs else {}
    return [_worker(worker, worker in living, now, notes.get(worker.name), supervised) for worker in found]


def unserved(living: list[Worker]) -> list[str]:
    """Name the queues in which jobs wait, or messages lie, and that no living worker takes jobs from."""
    served = {queue for worker in living if not worker.stuck and not worker.quiet for queue in worker.queues}
    idle = {queue: worker for worker in living if worker.stuck or worker.quiet for queue in worker.queues}
    found = []
    for queue, number in _waiting_by_queue().items():
        if queue in served:
            continue
        why = "no living worker serves it"
        if queue in idle:
            why = f"its worker {idle[queue].name} {'is quiet' if idle[queue].quiet else 'receives no jobs'}"
        found.append(
            f"{number:,}{'+' * (number >= MOST)} job{'s' * (number != 1)} wait{'s' * (number == 1)} in the queue {queue}, and {why}."
        )
    return found


def _waiting_by_queue() -> dict[str, int]:
    """Return how many jobs wait in each queue, looking at no more than the oldest MOST."""
    waiting = Job.objects.filter(state=State.QUEUED, queued_at__isnull=False).exclude(queue="")
    return dict(Counter(waiting.order_by("queued_at").values_list("queue", flat=True)[:MOST]))


def _worker(
    worker: Worker, alive: bool, now: datetime, note: dict[str, Any] | None, supervised: Collection[tuple[str, int]]
) -> WorkerRow:
    state = _state(worker, alive)
    at = _Clock(worker, now)
    return WorkerRow(
        name=worker.name,
        state=state,
        host=worker.host,
        pid=worker.pid,
        queues=worker.queues,
        waiting=worker.waiting,
        pool=worker.pool,
        concurrency=worker.concurrency,
        held=worker.held,
        instance=worker.instance,
        running=[{"job": row["job"], "task": row["task"], "began": at(row["since"] or 0)} for row in worker.running],
        paused=worker.paused,
        started=at(worker.started),
        seen=now - timedelta(seconds=worker.silent),
        silent=worker.silent,
        supervised=state in {"silent", "stuck"} and (worker.host, worker.pid) in supervised,
        resources=[_resource(said, alive, at) for said in worker.resources],
        predecessor=_predecessor(note) if note and alive and note["pid"] != worker.pid else "",
    )


def _state(worker: Worker, alive: bool) -> str:
    if not alive:
        return "silent"
    if worker.starting:
        return "starting"
    if worker.quiet and not worker.stuck:
        return "quiet"
    return "stuck" if worker.stuck else "waiting" if worker.waiting else "alive"


def _predecessor(note: dict[str, Any]) -> str:
    doing = f" while it was loading {', '.join(note['loading'])}" if note["loading"] else ""
    jobs = f", holding {note['held']} job{'s' * (note['held'] != 1)}" if note["held"] else ""
    return f"The process before it ({note['pid']}) vanished {_rough(note['ago'])} ago{doing}{jobs}."


def _rough(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


class _Clock:
    """Turns a moment on a worker's clock into one on ours."""

    def __init__(self, worker: Worker, now: datetime) -> None:
        self.shift = now - timedelta(seconds=worker.silent + worker.clock)

    def __call__(self, moment: float) -> datetime | None:
        return self.shift + timedelta(seconds=moment) if moment else None


def _resource(said: dict[str, Any], alive: bool, at: _Clock) -> ResourceRow:
    return ResourceRow(
        state=said["state"] if alive else "unknown",
        last_state=said["state"],
        since=at(said["since"]),
        loaded_at=at(said["loaded_at"]),
        last_used=at(said["last_used"]),
        retry_at=at(said["retry_at"]),
        ready=said["states"].get("ready", 0),
        **{name: said[name] for name in (
            "name", "queues", "versions", "next_version", "refused", "size", "seconds", "error", "attempts", "processes",
            "shared",
        )},
    )  # fmt: skip


def _problems_of(rows: list[WorkerRow]) -> list[str]:
    found = []
    for row in rows:
        if row.state == "stuck":
            found.append(f"{row.name} lives, but receives no jobs: its loop stands still. Restart it.")
        elif row.state == "silent":
            was = [resource.name for resource in row.resources if resource.last_state in {"loading", "waiting"}]
            doing = f" while it was loading {', '.join(was)}" if was else ""
            found.append(f"{row.name} has been silent for {_rough(row.silent)}{doing}.")
        else:
            found += [
                f"Queue {queue} waits on {row.name}: {', '.join(names)} {'is' if len(names) == 1 else 'are'} not loaded."
                for queue, names in row.waiting.items()
            ]
    return found


def _unserved(rows: list[WorkerRow]) -> list[str]:
    """Name the resources that no living worker holds, once there is any worker at all."""
    served = {queue for row in rows if row.state != "silent" for queue in row.queues}
    return [
        f"No living worker serves {' or '.join(made.queues)}, so no one can load {made.name}."
        for made in declared.values()
        if rows and not served & set(made.queues)
    ]

"""Drains workers before a deploy: they take no more jobs, and what they run is waited for."""

import time
from collections.abc import Callable, Sequence

from jobroom.celery import worker_commands as given
from jobroom.events import heartbeat
from jobroom.events.heartbeat import Worker
from jobroom.signals import acted

# Seconds between two looks.
PAUSE = 0.5


def living(names: Sequence[str] = ()) -> list[Worker]:
    """Return the living workers, or those of them that are named."""
    return [worker for worker in heartbeat.workers() if worker.alive and (not names or worker.name in names)]


def drain(names: Sequence[str], *, timeout: float, by: str, notify: Callable[[str], None]) -> list[Worker]:
    """Order workers to take no more jobs and wait until they run none; return those that are not empty by then.

    Args:
        names: of the workers; none means all.
        timeout: seconds that are waited.
        by: who does it, for the audit.
        notify: called with a sentence whenever something has changed.

    """
    end = time.monotonic() + timeout
    for worker in living(names):
        command(worker, "quiet")
    acted.send(sender=Worker, who=by, action="drained", kind="worker", target=", ".join(names) or "all workers")
    last = ""
    while busy := [worker for worker in living(names) if not is_empty(worker)]:
        if (said := _sentence(busy)) != last:
            notify(said)
            last = said
        if time.monotonic() >= end:
            break
        time.sleep(PAUSE)
        for worker in busy:
            if not worker.quiet:  # started meanwhile, or it had not heard
                command(worker, "quiet")
    return busy


def undo(names: Sequence[str], *, by: str) -> int:
    """Order quiet workers to take jobs again; return how many."""
    quiet = [worker for worker in living(names) if worker.quiet]
    for worker in quiet:
        command(worker, "loud")
    acted.send(
        sender=Worker, who=by, action="ended the drain of", kind="worker", target=", ".join(names) or "all workers"
    )
    return len(quiet)


def command(worker: Worker, action: str) -> None:
    """Give a command without waiting for what follows: the heartbeat says that."""
    try:
        given.give(worker.instance, action, seconds=1.0)
    except given.NoAnswer:
        return


def is_empty(worker: Worker) -> bool:
    """Return whether a worker takes no jobs and runs none, by what it says; messages that wait in it for their time go back."""
    return worker.quiet and not worker.running


def _sentence(busy: Sequence[Worker]) -> str:
    parts = [f"{worker.name} runs {len(worker.running)}{'' if worker.quiet else ' and takes more'}" for worker in busy]
    return f"Waiting: {', '.join(parts)}."
